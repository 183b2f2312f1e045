"""EVM chains and TRON: nodes, blocks, traces, events of tokens, and indexers."""
