"""One file for each command: its flags and its help. None imports another, but ``schedule``, which starts sweeps."""
