"""Puts a run together and carries it from its lock to its end."""
