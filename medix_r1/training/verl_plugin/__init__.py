"""What verl calls in its own processes: trainer, sampler, reward manager, engine; imports runs/ and rewards/."""
