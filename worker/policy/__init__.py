"""Decisions without I/O: verdicts, guards, quota, circuit breaker, evaluation timing."""
