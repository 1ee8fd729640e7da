"""Model servers of ours: how one is started (server), kept for a command (kept), and run in the foreground."""
