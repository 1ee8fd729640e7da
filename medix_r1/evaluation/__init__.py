"""`medix-r1 eval`: benchmarks from rows to tables; imports serving/, models/ and below, never training/ or rewards/."""
