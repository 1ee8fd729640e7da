"""Other tools that load a merged model, each as a script for a process with other packages."""
