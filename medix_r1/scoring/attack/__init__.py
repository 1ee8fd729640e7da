"""`medix-r1 reward attack`: searches for wrong answers that a reward pays for; imports scoring/ and what lies below."""
