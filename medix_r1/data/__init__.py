"""Data sets in: rows of any layout become what verl reads; imports images/, prompts/ and what lies below."""
