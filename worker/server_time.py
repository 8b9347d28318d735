"""Learning the API's clock before anything is judged by its age."""

import anyio

from closeout.worker.context import Context
from closeout.worker.verdict import GOES_ON, RETRYABLE

_AGAIN = 0.5  # seconds before an API that did not answer is asked again


async def learn_server_time(context: Context) -> None:
    """Return once an answer has told the time. The first request of all may come to be the harmless one sent for it.

    An API that answers and never tells it halts the run; one that does not answer does so after ``give_up_after``.
    """
    while not context.api.server_clock.known:
        await context.gate.enter()
        try:
            answer = await context.sign_of_life()
        finally:
            context.gate.leave()
        await context.gate.told(answer)
        status = answer.api_status
        if answer.server_time is None and status is not None and status not in RETRYABLE:
            context.stop.halt(
                f"the API's answers tell no time (no Date header), so no age of a session is known{GOES_ON}: "
                "look for a proxy that takes the header away"
            )
            await anyio.sleep_forever()
        if not context.api.server_clock.known:
            await anyio.sleep(_AGAIN)
