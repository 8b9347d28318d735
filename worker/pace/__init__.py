"""How fast: the shared budget, leased permits, what the clock allows, forecasts."""
