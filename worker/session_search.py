"""What happened to one session in any run of a ledger."""

from closeout.worker.ledger.protocol import Ledger
from closeout.worker.ledger.records import Found
from closeout.worker.sources import normalise_id, shown


async def find_anywhere(ledger: Ledger, text: str, most: int) -> list[Found]:
    """The session with this id in the newest runs that hold it, or else invalid rows that read so."""
    session_id = normalise_id(text)
    found = await ledger.find_session(session_id, most) if session_id is not None else []
    return found or await ledger.find_invalid(shown(text), most)
