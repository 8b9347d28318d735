"""What commands have in common: carrying a run from its lock to its summary, questions, notices."""
