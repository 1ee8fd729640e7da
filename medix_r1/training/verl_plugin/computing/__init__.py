"""What the engine computes otherwise: attention over packed rows, micro-batches of equal size; imports torch, verl."""
