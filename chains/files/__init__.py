"""Files of transfers: one module for each layout, and what they share."""
