"""Checks of the machine: GPUs, memory, disk, placement; imports preflight/rows/ and preflight/model/."""
