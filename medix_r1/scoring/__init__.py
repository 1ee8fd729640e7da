"""`medix-r1 reward`, `judge bench`: the reward outside of training; imports rewards/, serving/ and what lies below."""
