"""What one process holds of one run: stop, progress, recorder, gate, the API's health."""
