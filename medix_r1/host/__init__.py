"""This machine: its processor, its processes, Python's memory, files written whole; imports nothing but errors.py."""
