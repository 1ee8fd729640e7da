"""`medix-r1 translate`: other projects' launch scripts in our words; imports training/preflight/ and below."""
