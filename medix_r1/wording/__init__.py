"""What an answer says, by rules for English: its spelling, its quantities, and the things that it offers."""
