"""`medix-r1 demo`: unpacks small models, trains and evaluates them on a CPU; imports every room but sweeps/."""
