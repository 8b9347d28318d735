"""The engine: from a source of session ids to a ledger that says how each one ended."""
