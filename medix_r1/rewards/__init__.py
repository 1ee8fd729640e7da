"""The reward: one file a signal, and the composite that alone knows their weights; imports models/ and prompts/."""
