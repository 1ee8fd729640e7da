"""What the cells of a row mean: text, options, tags, pictures, conversations; imports data/row.py and below."""
