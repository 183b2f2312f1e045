"""Label sources: one file for each format."""
