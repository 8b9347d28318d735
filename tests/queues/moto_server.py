"""moto's HTTP server on a free port, with one repair: two requests at once must not be given the same message.

It answers each request in a thread of its own, and between finding a visible message and hiding it there is a gap.
"""

import threading
import time
from typing import Any

from moto.server import main
from moto.sqs.models import SQSBackend

_one_at_a_time = threading.Lock()
_receive = SQSBackend.receive_message


def _receive_alone(self: SQSBackend, queue_name: str, count: int, wait: int, *more: Any, **named: Any) -> list[Any]:
    """A long poll asks again and again, as it would otherwise hold up all others."""
    ends = time.monotonic() + wait
    while True:
        with _one_at_a_time:
            found = _receive(self, queue_name, count, 0, *more, **named)
        if found or time.monotonic() >= ends:
            return found
        time.sleep(0.02)


if __name__ == "__main__":
    SQSBackend.receive_message = _receive_alone  # type: ignore[method-assign, assignment]
    main(["-p", "0"])
