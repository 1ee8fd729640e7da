"""The kit that made the demo's models and measured them: `python -m tools.nano --help`, in a clone.

No part of the wheel: `medix_r1.demo` loads what is trained here and never imports it.
"""
