"""What is done: generate, judge, score, each with a journal; imports settings.py, benchmarks/ and results/."""
