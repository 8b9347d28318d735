"""``python -m jobs`` is the command ``closeout``."""

from jobs.cli import main

if __name__ == "__main__":
    main()
