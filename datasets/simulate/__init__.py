"""A labelled world of drug laundering, for the demo and for tests."""
