"""Who may ask the live page for what."""

import pytest

from closeout.worker.web.access import control_refusal, reading_refusal

PORT, TOKEN = 8760, "t0ken"
OURS = {"Host": "127.0.0.1:8760", "Origin": "http://127.0.0.1:8760", "X-Closeout-Token": TOKEN}


@pytest.mark.parametrize("host", ["127.0.0.1:8760", "localhost:8760"])
def test_it_is_read_under_its_own_name(host: str) -> None:
    """On loopback, at its port."""
    assert reading_refusal({"Host": host}, PORT) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8760", "127.0.0.1", "127.0.0.1:80", "localhost:8760.evil.example", ""]
)
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    """Or a page of that name could read the ledger: DNS rebinding."""
    assert reading_refusal({"Host": host}, PORT) is not None
    assert reading_refusal({}, PORT) is not None


def test_steering_needs_the_token_and_our_own_page() -> None:
    """Each of them; and that it is allowed at all."""
    assert control_refusal(OURS, TOKEN) is None
    refused = [
        (OURS, None),
        (OURS | {"X-Closeout-Token": "t0kem"}, TOKEN),
        (OURS | {"X-Closeout-Token": "tökén"}, TOKEN),
        ({name: value for name, value in OURS.items() if name != "X-Closeout-Token"}, TOKEN),
        (OURS | {"Origin": "http://evil.example"}, TOKEN),
        (OURS | {"Origin": "null"}, TOKEN),
        ({name: value for name, value in OURS.items() if name != "Origin"}, TOKEN),
    ]
    assert all(control_refusal(headers, token) is not None for headers, token in refused)
