"""Running jobs at their times."""
