"""Talks to nodes, indexers and files; turns what they say into legs; knows nothing of risk."""
