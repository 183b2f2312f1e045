"""Bitcoin and chains of its kind: nodes, blocks, scripts, and indexers through bitcoinlib."""
