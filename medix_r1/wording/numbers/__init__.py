"""Numbers in texts: numerals, number words, quantities. It may import spelling, terms and units of medix_r1.wording."""
