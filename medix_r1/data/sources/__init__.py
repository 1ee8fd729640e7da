"""Where rows come from: one class a kind of file, named by `_target_` in configs/prepare/data/; imports data/row.py."""
