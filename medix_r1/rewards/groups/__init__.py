"""Signals that score a whole group at once, and what lets its rollouts wait for each other; imports rewards/base.py."""
