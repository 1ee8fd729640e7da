"""One look for all that people open: HTML pages, figures, wrapped lines; imports no other room."""
