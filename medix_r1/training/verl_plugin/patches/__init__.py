"""Patches for verl 0.9.1, one file each; imports verl, and single files of ours. CPU-only machines need `cpu/` too.

The docstring of a patch says four things: what is wrong upstream (`Upstream:`), the smallest way to see it (`See it:`,
a script of docs/upstream/), what we do (`Here:`) and when the file can go (`Goes when:`). docs/upstream.md has the
reports.

`position_ids`, `shared_images`, `picture_files` and `process_group_timeout` replace functions of verl and are
installed by plugin.py in every process, `chunked_log_probs` and `text_rows` by engine.py, `mlflow_params` by the
driver's task runner. The others are mix-ins that go before verl's class: `sequence_means`, `frozen_vision_tower`,
`lora_adapters` and `stored_pictures` in engine.py, `reward_parts` and `validation_bootstrap` in trainer.py.
"""
