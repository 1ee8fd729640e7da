"""`medix-r1 reward`, `judge bench`: the reward without training; imports rewards/, serving/ and what lies below."""
