"""Reads nodes, indexers and files of chains and payment systems, as legs; knows nothing of risk."""
