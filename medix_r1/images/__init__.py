"""How a picture file becomes pixels, for training and evaluation alike; imports nothing but errors.py."""
