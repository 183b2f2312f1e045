"""A labelled world of drug trade and of the honest trades that look like it, for the demo and for tests."""
