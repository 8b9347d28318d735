"""The network as it is: what cannot be reached is told in one sentence, in seconds, and nothing was sent to it."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.api.authority import authority, guarded
from tests.front_door.support import FAST, Desk, Done

IDS = [f"0190c1f2-0000-7000-8000-00000000000{each}" for each in range(5)]


def closes(desk: Desk, *words: str) -> Done:
    """A close of a few sessions."""
    return desk.run("close", desk.write_ids(IDS), *FAST, "--protect", "none", "--json", *words)


@pytest.mark.parametrize("trouble", ["untrusted", "expired", "name", "no such name"])
def test_what_only_a_person_can_mend_halts_the_run_at_once(tmp_path: Path, trouble: str) -> None:
    """With the cause as its reason, and every session as it was: neither in doubt, nor tried."""
    corp = authority(tmp_path)
    tls = corp.server("other.name") if trouble == "name" else corp.server(age=timedelta(trouble == "expired"))
    desk = Desk(tmp_path)
    desk.env["SSL_CERT_FILE"] = str(corp.path) if trouble in ("expired", "name") else ""
    with guarded(tls, {}) as url:
        desk.url = url if trouble != "no such name" else "https://api.exmaple.invalid"
        done = closes(desk)
        doctor = desk.run("doctor")
    cause = {
        "untrusted": "is signed by 'Corp', which nothing here trusts: --cacert FILE names a CA to trust",
        "expired": " expired on ",
        "name": "is for other.name: check --base-url",
        "no such name": "cannot resolve api.exmaple.invalid",
    }[trouble]
    assert done.code == 3
    assert cause in done.summary["why"]
    assert done.summary["why"].endswith("; remaining sessions stay pending")
    assert {(row["outcome"], row["attempts"]) for row in desk.rows()} == {("pending", 0)}
    assert doctor.code == 1
    assert cause in doctor.out
