"""`medix-r1 train -m`: many runs by one command; imports training/command/, reports/ and runs/."""
