"""Sessions, items, exchanges and runs: values only."""
