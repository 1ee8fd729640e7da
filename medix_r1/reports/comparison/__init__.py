"""Runs side by side: the files and the gaps of `medix-r1 compare`."""
