"""Pages for people, from templates that escape whatever they are given."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from closeout.worker.domain.item import Outcome
from closeout.worker.report.formatting import instant, share
from closeout.worker.support.terminal import printable
from closeout.worker.support.units import format_duration, format_rate

TONES = {
    Outcome.CLOSED: "good",
    Outcome.ALREADY_CLOSED: "soft",
    Outcome.SKIPPED: "calm",
    Outcome.NOT_FOUND: "bad",
    Outcome.INVALID: "bad",
    Outcome.REJECTED: "bad",
    Outcome.FAILED: "bad",
    Outcome.IN_DOUBT: "warn",
    Outcome.PENDING: "wait",
}
_VERDICT_TONES = {"success": "good", "partial": "warn", "failure": "bad", "error": "bad", "pending": "wait"}
_STATE_TONES = {"finished": "good", "planned": "accent", "halted": "bad", "interrupted": "warn", "running": "accent"}


def asset(name: str) -> str:
    """The text of a style sheet or a script."""
    return files("closeout.worker.report").joinpath("templates", name).read_text(encoding="utf-8")


def policy(*, style: str, script: str) -> str:
    """A Content-Security-Policy that lets exactly these texts work within the page, and nothing be fetched."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def render_alone(template: str, values: Mapping[str, Any]) -> Iterator[str]:
    """A page that needs nothing besides itself, piece by piece."""
    style, script = asset("page.css"), asset("page.js")
    own = {"style": Markup(style), "script": Markup(script), "policy": policy(style=style, script=script)}  # noqa: S704  # ours
    return environment().get_template(template).generate(**own, **values)


def render(template: str, values: Mapping[str, Any]) -> str:
    """A page, or a part of one, that a server gives with its style sheet and scripts beside it."""
    return environment().get_template(template).render(**values)


@cache
def environment() -> Environment:
    """What the templates know: every value is made printable and escaped."""
    made = Environment(
        loader=PackageLoader("closeout.worker.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    made.filters |= {
        "count": lambda value: f"{value:,}",
        "duration": format_duration,
        "rate": format_rate,
        "moment": instant,
        "words": lambda value: str(value).replace("_", " "),
        "share": share,
    }
    made.globals |= {
        "tone_of": lambda outcome: TONES[Outcome(outcome)],
        "state_tone": lambda state: _STATE_TONES.get(state, "calm"),
        "version": version("closeout"),
    }
    return made


def verdict_tone(status: str) -> str:
    """The colour of a verdict; the API may know others."""
    return _VERDICT_TONES.get(status, "calm")


def _printable(value: object) -> object:
    """Whatever is written, values from outside among it, moves no cursor and turns no line around."""
    if value is None:
        return ""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
