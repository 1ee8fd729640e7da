"""Replies that must not earn much, and right ones that must; imports scoring/composed.py and what lies below."""
