"""One file for each command: its flags and its help. A command never imports another."""
