"""Does the merged model answer as the checkpoint: its logits, and what vLLM says; imports checkpoints/parameters/."""
