"""The rows of the demo: real pictures, small views of them, labels, files; imports data/, never the models."""
