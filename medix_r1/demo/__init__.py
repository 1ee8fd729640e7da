"""`medix-r1 demo`: unpacks small real parts, trains them and shows what was learnt; imports every room but sweeps/."""
