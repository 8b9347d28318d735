"""Telling machines how a long run stands: is it alive, is it ready, and its metrics, over HTTP."""
