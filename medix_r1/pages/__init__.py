"""One look for all that people open: HTML pages, figures, wrapped lines, in light and in dark."""
