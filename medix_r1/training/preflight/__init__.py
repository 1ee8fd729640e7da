"""Preflight checks before anything loads: batches, lengths, memory, disk, placement; imports neither verl nor Ray."""
