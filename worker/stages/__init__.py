"""What a run does, all at once: close, reconcile, evaluations, precheck, protect, canary, breaker, deadline."""
