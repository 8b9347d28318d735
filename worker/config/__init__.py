"""The settings of a run, and the words they are written in."""
