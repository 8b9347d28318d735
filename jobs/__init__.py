"""What the engine is used for: the commands of closeout."""
