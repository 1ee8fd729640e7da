"""Reads what servers reply: verdicts, messages, and faults without what was sent; imports what is below models/."""
