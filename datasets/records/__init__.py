"""What people decide, in SQLite: the API keys, the cases."""
