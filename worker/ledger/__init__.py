"""The durable queue and the record, on SQLite and PostgreSQL."""
