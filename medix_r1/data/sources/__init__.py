"""Sources of rows: one class for each kind of file, the `_target_` in configs/prepare/data/; imports data/row.py."""
