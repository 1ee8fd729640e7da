"""Files for others: leaderboard submissions and blinded sheets for experts; imports evaluation/results/."""
