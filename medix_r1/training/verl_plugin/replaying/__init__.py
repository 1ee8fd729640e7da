"""Does the update of a step again, from the tokens that were kept; imports trainer.py and watching/."""
