"""How help looks, examples, and the reference made of it."""
