"""The phases generate, judge and score, which resume from journals; imports settings.py, benchmarks/ and results/."""
