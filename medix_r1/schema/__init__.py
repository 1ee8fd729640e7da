"""What a config may hold: known keys, the type and range of each value, and other projects' names for our keys."""
