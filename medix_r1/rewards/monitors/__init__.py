"""Monitors: signals by rules alone, logged and without weight unless a config gives one; imports rewards/base.py."""
