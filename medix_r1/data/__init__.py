"""Training data: rows of any layout become verl's parquet files; imports images/, prompts/ and what lies below."""
