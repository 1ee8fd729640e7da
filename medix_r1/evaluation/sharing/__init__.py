"""What leaves the house: leaderboard bundles and blind sheets; imports evaluation/results/."""
