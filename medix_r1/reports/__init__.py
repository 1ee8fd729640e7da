"""Reports on runs: status, samples, the HTML report, comparisons; imports runs/ and evaluation/results/."""
