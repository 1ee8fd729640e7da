"""Watches a run from inside the trainer: dead workers, alarms, requests, the best checkpoint, tokens; imports runs/."""
