"""Draws training rows by their difficulty, which the run's own groups correct; imports verl in loading.py alone."""
