"""What a run leaves behind and everybody reads: folder, checkpoints, samples, alarms; imports rewards/ and below."""
