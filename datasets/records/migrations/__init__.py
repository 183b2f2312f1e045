"""How the records store came to its present shape, step by step (Alembic)."""
