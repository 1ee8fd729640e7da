"""`medix-r1 rubric`: criteria drafted by a judge and corrected by people, and attacks on them; imports composed.py."""
