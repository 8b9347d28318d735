"""The only place that knows the remote API."""
