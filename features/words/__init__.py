"""Features in words: what a person reads of a number, in each language."""
