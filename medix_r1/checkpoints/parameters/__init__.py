"""The parameters of a checkpoint: shards, safetensors, adapters, what the model must have; imports json_files.py."""
