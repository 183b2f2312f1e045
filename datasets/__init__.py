"""The ledger in DuckDB, and everything that is loaded into it: labels, prices, records, snapshots."""
