"""Reads what chains and payment systems wrote into files, as legs; knows nothing of risk."""
