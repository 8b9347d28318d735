"""`make torture`: random kills, pauses and clocks for as long as is asked for; each round is held to the truth."""
