"""Jobs as closeout.toml defines them."""
