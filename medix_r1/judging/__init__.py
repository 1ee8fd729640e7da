"""`medix-r1 judge`: what can be asked about a judge before a run depends on it."""
