"""`medix-r1 merge`: FSDP checkpoints of a run become a Hugging Face folder; imports runs/ and what lies below."""
