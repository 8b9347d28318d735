"""What is said of a set-up, by what was seen of it."""

from dataclasses import replace

import pytest

from closeout.jobs.diagnosis import Level, of_budget, of_clock, of_closing, of_disk, of_host, of_reading
from closeout.worker.domain.exchange import Answer, Exchange
from closeout.worker.pace.budget import Budget
from closeout.worker.pace.law import Law
from tests.engine.support import NOW, an_answer


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (200, "ok"),
        (403, "ok"),
        (401, "problem"),
        (404, "problem"),
        (301, "problem"),
        (429, "warning"),
        (503, "problem"),
        (None, "problem"),
    ],
)
def test_the_host_is_judged_by_its_answer(status: int | None, level: Level) -> None:
    """What is no ``ok`` says what to do."""
    found = of_host(an_answer(status, kind="probe"), "https://api.example.com")
    assert found.level == level
    assert bool(found.todo) == (level != "ok")


@pytest.mark.parametrize("status", [200, 204, 301, 401, 403, 404, 405])
def test_a_host_that_answers_anything_is_told_from_one_that_knows_the_key(status: int) -> None:
    """It is called what it is, with what it answers."""
    answer = replace(an_answer(status, kind="probe", from_api=False), form="an HTML page")
    found = of_host(answer, "https://x.example")
    assert (found.level, found.told) == (
        "problem", f"https://x.example does not speak the API: it answers {status} with an HTML page",
    )  # fmt: skip
    assert "check --base-url" in found.todo


def test_a_list_or_a_close_that_something_else_answers_says_nothing_of_the_key() -> None:
    """Not that it may, nor that it may not."""
    for status in (200, 403, 404, 422):
        assert of_reading(an_answer(status, kind="list", from_api=False)).level == "problem"
        assert "scope" not in of_reading(an_answer(status, kind="list", from_api=False)).todo
        assert of_closing(an_answer(status, from_api=False)).level == "warning"


def test_a_404_for_a_session_that_cannot_exist_shows_that_the_key_may_close() -> None:
    """Only in the API's own shape: a proxy's says nothing."""
    assert of_closing(an_answer(404)).level == "ok"
    assert of_closing(an_answer(404, from_api=False)).level == "warning"
    assert of_closing(an_answer(200)).level == "warning"


@pytest.mark.parametrize(
    ("date", "level"),
    [(NOW, "ok"), (NOW - 999, "ok"), (NOW - 9_000, "warning"), (NOW + 9_000, "warning"), (None, "warning")],
)
def test_the_clock_may_be_a_few_seconds_off(date: int | None, level: Level) -> None:
    """A Date header is cut to a second."""
    found = of_clock(Answer(Exchange(NOW, "probe", 200, None, 20), server_time=date))
    assert found.level == level


def test_little_room_is_told() -> None:
    """Under a gibibyte."""
    assert of_disk(10**9, "/data").level == "warning"
    assert of_disk(10**10, "/data").level == "ok"


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        (Budget(paused=True, set_by="abc"), "everything is paused by a word to run abc"),
        (Budget(set_rate=5.0, set_by="abc"), "everything is held at 5/s by a word to run abc"),
        (Budget(set_rate=500.0, set_by="abc"), "50/s at most, and nothing else is running here"),
        (Budget(down_since=90.0), "the API gave no answer to the last request"),
        (Budget(held_until=160.0), "the API asked everybody to wait 1 min 0 s more"),
        (Budget(law=Law(met=20.0, since=70.0)), "a 429 at 20/s cut the rate 30 s ago"),
        (Budget(law=Law(met=20.0, since=-900.0)), "50/s at most, and nothing else is running here"),
    ],
)
def test_what_holds_the_pace_back_is_told(budget: Budget, told: str) -> None:
    """A person's word first."""
    assert of_budget(budget, 100.0, 50.0, []).told == told
