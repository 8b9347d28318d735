"""Faults: each does what its name says, and chance does not depend on the order of arrival."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.sandbox import Sandbox, SandboxConfig, faults, running_sandbox
from closeout.worker.sandbox.faults import FAULT_NAMES, draw_fault, parse_fault
from tests.sandbox.support import V21, Talk, talking

SHARES = {"500": 0.2, "reset_after": 0.1, "html_502": 0.1}


@given(st.integers(), st.text(max_size=40), st.integers(1, 9))
def test_a_draw_depends_on_its_names_alone(seed: int, key: str, nth: int) -> None:
    assert draw_fault(seed, "close", key, nth, SHARES) == draw_fault(seed, "close", key, nth, dict(SHARES))
    assert draw_fault(seed, "close", key, nth, {}) is None
    assert draw_fault(seed, "close", key, nth, {"503": 1.0}) == "503"


def test_faults_come_in_about_their_shares() -> None:
    drawn = Counter(draw_fault(1, "close", str(key), 1, SHARES) for key in range(5000))
    for name, share in SHARES.items():
        assert abs(drawn[name] / 5000 - share) < 0.02


@pytest.mark.parametrize("name", ["", "200", "300", "600", "status_200", "melt", "html_", "reset", "500_before"])
def test_unknown_faults_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown fault"):
        parse_fault(name)


@pytest.mark.parametrize("shares", [{"500": 0.6, "503": 0.6}, {"500": -0.1}, {"500": 1.1}, {"melt": 0.1}])
@pytest.mark.parametrize("kind", ["close_faults", "read_faults", "list_faults"])
def test_shares_that_cannot_be_are_refused(shares: dict[str, float], kind: str) -> None:
    configure: Callable[..., SandboxConfig] = SandboxConfig
    with pytest.raises(ValueError, match="fault"):
        configure(**{kind: shares})


def test_the_names_for_people_are_all_there_are() -> None:
    """Each is known, and each fixed name is among them."""
    assert all(parse_fault(name) for name in FAULT_NAMES)
    assert set(faults._NAMED) <= set(FAULT_NAMES)


def attempt(talk: Talk, session_id: str) -> str:
    """Close once and name what came of it."""
    try:
        answer = talk.close(session_id, timeout=0.5)
    except httpx.TransportError as error:
        return type(error).__name__
    return f"{answer.status_code} {answer.headers['content-type'].partition(';')[0]}"


@pytest.mark.parametrize(
    ("fault", "seen", "closed"),
    [
        ("ok", "200 application/json", True),
        ("500", "500 application/json", False),
        ("status_400", "400 application/json", False),
        ("418", "418 application/json", False),
        ("599", "599 application/json", False),
        ("504_after", "504 application/json", True),
        ("html_502", "502 text/html", False),
        ("html_502_after", "502 text/html", True),
        ("reset_before", "ReadError", False),
        ("reset_after", "ReadError", True),
        ("hang", "ReadTimeout", True),
        ("hang_before", "ReadTimeout", False),
        ("hang_after", "ReadTimeout", True),
        ("truncated", "RemoteProtocolError", True),
        ("not_json", "200 application/json", True),
        ("not_json_before", "200 text/html", False),
        ("drift", "200 application/json", True),
    ],
)
def test_each_fault_does_what_its_name_says(fault: str, seen: str, closed: bool) -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        talk.sandbox.script(session_id, [fault])
        assert attempt(talk, session_id) == seen
        truth = talk.sandbox.truth(session_id)
        assert (truth.status == "closed", truth.closes_effective) == (closed, int(closed))
        assert attempt(talk, session_id) == "200 application/json"
        assert talk.sandbox.truth(session_id).closes_received == 2


def test_a_hang_can_come_before_the_effect() -> None:
    with talking(SandboxConfig(hang_after=False, close_faults={"hang": 1.0})) as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        assert attempt(talk, session_id) == "ReadTimeout"
        assert talk.sandbox.truth(session_id).status == "active"


def test_a_server_stops_although_a_client_hangs() -> None:
    sandbox = Sandbox()
    [session_id] = sandbox.add_sessions(1)
    sandbox.script(session_id, ["hang"])
    arrived = threading.Event()
    sandbox.on_request = lambda _kind, _session: arrived.set()
    with ThreadPoolExecutor(1) as pool:
        with running_sandbox(sandbox) as url:
            headers = {"x-api-key": "sandbox-key"}
            hanging = pool.submit(httpx.post, f"{url}{V21}/{session_id}/close", headers=headers, timeout=None)
            assert arrived.wait(60)
        with pytest.raises(httpx.TransportError):
            hanging.result()


def test_drift_shows_what_no_release_documents_and_stays_true_to_itself() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        talk.sandbox.script(session_id, ["drift"])
        session = talk.close(session_id).json()
        assert session["status"] == "closed"
        assert session["policy"]["status"] == "closed_by_policy"
        assert session["channel"] == "hologram"
        assert "duration_ms" not in session
        assert session["eval_summary"]["eval_status"] == "skipped"
        assert talk.read(session_id).json()["eval_summary"]["eval_status"] == "skipped"
        assert talk.sandbox.truth(session_id).eval_status == "skipped"


def test_drift_of_reads_and_lists_leaves_the_verdict_alone() -> None:
    with talking(SandboxConfig(read_faults={"drift": 1}, list_faults={"drift": 1}, no_critical_share=0)) as talk:
        [session_id] = talk.sandbox.add_sessions(1, already_closed=True)
        [listed], read = talk.list().json()["items"], talk.read(session_id).json()
        verdict = talk.sandbox.truth(session_id).eval_status
    assert read["priority"] == listed["priority"] == "p0"
    assert read["eval_summary"]["eval_status"] == listed["eval_summary"]["eval_status"] == verdict != "none"


def test_scripts_of_reads_and_closes_are_apart() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        talk.sandbox.script(session_id, ["503", "ok", "500"])
        talk.sandbox.script_reads(session_id, ["404"])
        assert [talk.read(session_id).status_code for _ in range(2)] == [404, 200]
        assert [talk.close(session_id).status_code for _ in range(4)] == [503, 200, 500, 200]
        with pytest.raises(ValueError, match="unknown fault"):
            talk.sandbox.script(session_id, ["melt"])


@pytest.mark.parametrize("reverse", [False, True])
def test_the_order_of_arrival_changes_no_fault(reverse: bool) -> None:
    with talking(SandboxConfig(close_faults={"500": 0.3, "429": 0.2}, max_faults_per_session=None)) as talk:
        ids = talk.sandbox.add_sessions(60)
        order = sorted(ids, reverse=reverse)
        seen = {one: [talk.close(one).status_code for _ in range(2)] for one in order}
        expected = {
            one: [int(draw_fault(1, "close", one, nth, talk.sandbox.config.close_faults) or 200) for nth in (1, 2)]
            for one in ids
        }
    assert seen == expected


def test_a_session_succeeds_after_its_most_faults() -> None:
    config = SandboxConfig(close_faults={"500": 1}, read_faults={"503": 1}, list_faults={"502": 1})
    with talking(config) as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        assert [talk.close(session_id).status_code for _ in range(3)] == [500, 500, 200]
        assert [talk.read(session_id).status_code for _ in range(3)] == [503, 503, 200]
        assert [talk.list(limit=5).status_code for _ in range(3)] == [502, 502, 200]
        assert talk.list(limit=6).status_code == 502
        assert talk.sandbox.stats()["faults"] == {"500": 2, "503": 2, "502": 3}


@pytest.mark.parametrize(("wait", "header"), [(None, None), (7.0, "7")])
def test_a_drawn_429_tells_the_wait_only_when_configured(wait: float | None, header: str | None) -> None:
    with talking(SandboxConfig(close_faults={"429": 1}, fault_retry_after=wait)) as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        answer = talk.close(session_id)
    assert (answer.status_code, answer.json()["error"]) == (429, "rate_limited")
    assert answer.headers.get("retry-after") == header


def test_an_outage_spares_nobody_and_ends() -> None:
    with talking() as talk:
        [session_id] = talk.sandbox.add_sessions(1)
        talk.sandbox.outage = "503"
        assert talk.list().status_code == talk.close(session_id).status_code == 503
        talk.sandbox.outage = "reset"
        with pytest.raises(httpx.TransportError):
            talk.http.get(V21)
        talk.sandbox.outage = None
        assert talk.close(session_id).status_code == 200
        assert talk.sandbox.truth(session_id).closes_received == 2
