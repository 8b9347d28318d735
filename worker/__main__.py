"""``python -m worker`` is the command ``closeout``."""

import runpy

if __name__ == "__main__":
    runpy.run_module("jobs", run_name="__main__", alter_sys=True)
