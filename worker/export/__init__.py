"""Result rows as CSV, JSONL and Parquet."""
