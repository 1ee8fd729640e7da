"""Many runs by one command: `medix-r1 train -m`. What they showed: medix_r1/reports/compare.py."""
