"""Judges made of several judges: a vote, and a small one that asks a strong one. Imports the judge beside it."""
