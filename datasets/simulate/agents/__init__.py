"""What the inhabitants of the simulated world mean to do: one file a way of living."""
