"""The ledger on a server, for several machines."""
