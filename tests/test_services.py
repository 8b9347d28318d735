"""What the tests do on a machine that has nothing but Python: they skip at once and say why, and never fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Tests that need a program, a server or a right of the machine.
NEEDY = (
    "tests/cli/test_completion.py::test_bash_completes",
    "tests/cli/test_completion.py::test_fish_completes",
    "tests/cli/test_completion.py::test_zsh_completes",
    "tests/cli/test_units.py::test_systemd_takes_the_units",
    "tests/docs/test_tutorial.py",
    "tests/api/test_client_secrecy.py::test_an_untrusted_certificate_is_refused_before_anything_is_sent",
    "tests/pages/test_browser.py::test_everyone_can_read_it",
    "tests/queues/test_redis.py::test_a_server_that_is_killed_and_comes_back_has_lost_nothing",
    "tests/postgres/test_crew.py::test_each_claims_what_others_have_not",
)
REASONS = {"bash", "fish", "zsh", "systemd", "openssl", "chromium", "redis", "a"}  # the last: a PostgreSQL server


def run_without_programs(*tests: str, services: str) -> tuple[int, str]:
    """How pytest ends where no program is to be found, and no PostgreSQL either, and what it says."""
    environment = {
        "PATH": "", "HOME": os.devnull, "CLOSEOUT_TEST_SERVICES": services, "PYTEST_ADDOPTS": "",
        "CLOSEOUT_TEST_POSTGRES": "postgresql://nobody@127.0.0.1:1/none",
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(("services", "ends", "code"), [("", "9 skipped", 0), ("required", "5 failed, 4 errors", 1)])
def test_what_the_machine_does_not_have_is_skipped_or_where_it_is_promised_a_failure(
    services: str, ends: str, code: int
) -> None:
    """Each with its reason, in the process that reports it: one that was forked would go on with the tests."""
    found, said = run_without_programs(*NEEDY, services=services)
    assert found == code, said
    assert re.search(rf"^{ends} in", said, re.MULTILINE), said
    assert set(re.findall(r"missing on this machine: (?:the command )?(\w+)", said)) >= REASONS
