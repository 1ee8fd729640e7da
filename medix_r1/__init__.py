"""medix-r1: reinforcement learning of medical vision-language models on open-ended answers."""

__version__ = "0.1.0"
