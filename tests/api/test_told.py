"""What an error tells: a code, and how long to wait."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.worker.api.error_body import error_code, told_wait
from closeout.worker.support.clock import parse_http_date
from tests.api.support import KEY
from tests.api.test_models import json_values

DATE = "Mon, 02 Mar 2026 10:00:00 GMT"
NOW = parse_http_date(DATE) or 0


def headers(retry_after: str | None) -> dict[str, str]:
    return {} if retry_after is None else {"retry-after": retry_after}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30), (" 30 ", 30), ("0", 0), ("-5", -5), ("1.5", 1.5), ("86400", 86_400),
        ("Mon, 02 Mar 2026 10:01:00 GMT", 60), ("Mon, 02 Mar 2026 09:59:00 GMT", -60), (DATE, 0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    """A date counts from the answer's own date, so the clocks need not agree."""
    assert told_wait(headers(header), {"retry_after": 7}, NOW) == seconds


@pytest.mark.parametrize(
    ("retry_after", "ms", "seconds"),
    [
        ("30, 60", None, 60), ("60,5,1.5", None, 60), ("5, Mon, 02 Mar 2026 10:01:00 GMT", None, 60),
        ("Mon, 02 Mar 2026 10:01:00 GMT, Mon, 02 Mar 2026 10:02:00 GMT", None, 120), ("soon, 4", None, 4),
        (None, "1500", 1.5), ("1", "2500", 2.5), ("3", "2500", 3), ("soon", "250.5", 0.2505), (None, "soon", 7),
        ("Monday, 02-Mar-26 10:01:00 GMT", None, 60), ("-5, 0", None, 0),
    ],
)  # fmt: skip
def test_of_several_waits_the_longest_holds(retry_after: str | None, ms: str | None, seconds: float) -> None:
    """Each proxy on the way may add its own; httpx joins them as a list."""
    given = headers(retry_after) | ({} if ms is None else {"retry-after-ms": ms})
    assert told_wait(given, {"retry_after": 7}, NOW) == seconds


@pytest.mark.parametrize("header", [None, "", "soon", "1e3", "0x10", "inf", "nan", "30 seconds", "9" * 400, "--5", "½"])
def test_a_nonsense_header_leaves_it_to_the_body(header: str | None) -> None:
    """What is no number and no date counts as not told."""
    assert told_wait(headers(header), {"retry_after": 7}, NOW) == 7


@pytest.mark.parametrize(("told", "seconds"), [(30, 30), (1.5, 1.5), ("30", 30), (0, 0), (-3, -3)])
def test_the_body_may_tell(told: object, seconds: float) -> None:
    """The newer dialect does."""
    assert told_wait({}, {"retry_after": told}, NOW) == seconds


@pytest.mark.parametrize(
    "told",
    [None, True, "soon", [], {}, float("nan"), float("inf"), 1e300, 10**15, 10**400, -(10**400)],
    ids=lambda told: str(told)[:20],
)
def test_a_nonsense_body_tells_nothing(told: object) -> None:
    """A number that is not finite or too large for any wait is none."""
    assert told_wait({}, {"retry_after": told}, NOW) is None


@given(header=st.none() | st.text(), body=json_values)
def test_nothing_breaks_the_reading_of_a_wait(header: str | None, body: Any) -> None:
    """Whatever a proxy writes."""
    found = told_wait(headers(header), body, NOW)
    assert found is None or abs(found) < 1e15


@pytest.mark.parametrize("code", ["rate_limited", "not_found", "E42", "auth.invalid-key", "a:b"])
def test_the_apis_own_code_is_kept(code: str) -> None:
    """It says more than the status."""
    assert error_code({"error": code, "message": "m"}, 400, secret=KEY) == code


@pytest.mark.parametrize(
    "error",
    [
        "Session of Jane Doe is closed",
        "jane@example.com",
        "",
        "x" * 65,
        "42",
        "code\n",
        None,
        5,
        {"code": "x"},
        KEY,
        f"a{KEY}b",
    ],
)
def test_anything_else_is_the_status(error: object) -> None:
    """A sentence may hold personal data, and the key must not get into the ledger."""
    assert error_code({"error": error}, 409, secret=KEY) == "http_409"


@given(body=json_values | st.fixed_dictionaries({"error": st.text() | st.just(f"no {KEY}"), "message": st.text()}))
def test_a_code_is_short_and_plain(body: Any) -> None:
    """Whatever the body is."""
    code = error_code(body, 500, secret=KEY)
    assert 0 < len(code) <= 64
    assert code.isascii()
    assert not set(code) & set(" \t\r\n@\"'")
    assert KEY not in code
