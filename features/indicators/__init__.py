"""Indicators: typologies of laundering as queries over all entities, each with the transfers that show it."""
