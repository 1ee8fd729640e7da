"""Measures how often a model is right on training rows; may import data, rewards, serving and scoring."""
