"""The HTTP service and the command line: the only room that reads the environment."""
