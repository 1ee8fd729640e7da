"""Checks of the policy's folder and shape before it is loaded; imports nothing else of preflight/."""
