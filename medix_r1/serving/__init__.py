"""Model servers of ours: started, kept for a command, run in the foreground; imports config.py and processes.py."""
