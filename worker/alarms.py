"""Troubles that work without an end bears instead of ending: each is told when it begins, and when it is over."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing to tell: what it is about, in a word, and what is the matter, or how it is ``over``."""

    about: str
    text: str
    over: bool = False


class Alarms:
    """Tells each trouble once, however often it is met."""

    def __init__(self, tell: Callable[[Alarm], None]) -> None:
        self._tell = tell
        self._at_work: set[str] = set()

    def begin(self, about: str, text: str) -> None:
        if about not in self._at_work:
            self._at_work.add(about)
            self._tell(Alarm(about, text))

    def end(self, about: str, text: str) -> None:
        if about in self._at_work:
            self._at_work.remove(about)
            self._tell(Alarm(about, text, over=True))
