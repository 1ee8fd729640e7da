"""Clients of model servers: judge, embedder and the connection that they share; imports prompts/ and what is below."""
