"""`medix-r1 reward`: the reward outside of training. Score files, explain one reply, probe it, audit its judge."""
