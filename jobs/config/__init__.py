"""closeout.toml, profiles, environment, key and flags, made into what a command was asked for."""
