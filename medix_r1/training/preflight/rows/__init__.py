"""Checks of the data: files, rows, references, lengths, batches made of them; imports preflight/model/."""
