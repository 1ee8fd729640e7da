"""`medix-r1 train -m`: sweeps, many runs by one command; imports training/command/, reports/ and runs/."""
