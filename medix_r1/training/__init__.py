"""`medix-r1 train`, `check`: the only room that imports verl and Ray; imports data/, runs/, rewards/ and serving/."""
