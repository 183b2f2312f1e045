"""The commands of `silkscreen`, one file a kind. Heavy imports stand inside functions: --help stays quick."""
