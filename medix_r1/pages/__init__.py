"""One look for all that people open: the style of HTML pages and of figures; imports no other room."""
