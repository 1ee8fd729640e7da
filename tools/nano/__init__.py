"""Trains and measures the demo's models: `python -m tools.nano --help`, in a clone.

It is not part of the wheel. `medix_r1.demo` loads the trained weights and never imports this package.
"""
