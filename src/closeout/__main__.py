"""``python -m closeout`` is the command ``closeout``."""

from closeout.jobs.cli import main

if __name__ == "__main__":
    main()
