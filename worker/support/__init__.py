"""Errors, instants, units, the log, suggestions, back-off, terminals: no word of the domain."""
