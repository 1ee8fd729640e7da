"""`medix-r1 new`: working skeletons of what users write, with their tests; imports nothing but listing.py and below."""
