"""Verbs that look at a prepared folder: leaks, statistics, a page of rows; imports what lies in data/ itself."""
