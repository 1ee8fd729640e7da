"""Rubrics as a reward: signal and tags, how criteria are asked, what is struck before; imports what rewards/ does."""
