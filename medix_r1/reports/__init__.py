"""What a run looks like: status, samples, the HTML report, runs compared; imports runs/ and evaluation/results/."""
