"""The flags that commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
DEFAULT_LEDGER = "closeout.db"


def _option(flag: str, text: str, **attributes: Any) -> Callable[[_Command], _Command]:
    name = flag.split("/", maxsplit=1)[0].lstrip("-").replace("-", "_")
    attributes.setdefault("envvar", f"CLOSEOUT_{name.upper()}")
    return click.option(flag, name, help=text, default=attributes.pop("default", None), **attributes)


LEDGER = _option(
    "--ledger",
    f"The ledger: a file, or postgresql://USER@HOST/DB.  [default: {DEFAULT_LEDGER}]",
    metavar="LEDGER",
)
FORCE = click.option(
    "--force",
    is_flag=True,
    help="Replace FILE, whatever it is; never a ledger, its files, or a source.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")

LISTEN = _option(
    "--listen",
    "Answer /healthz, /readyz and /metrics there while it runs, on loopback unless another HOST is named.",
    metavar="[HOST:]PORT",
)
OPERATIONS: list[_Decorator] = [LISTEN]

_KEY_FILE = _option("--api-key-file", "A file (mode 0600) that holds the API key.", metavar="FILE")
_KEY_COMMAND = _option(
    "--api-key-command", "A command that prints the API key, such as `pass show feather`.", metavar="COMMAND"
)
_NETWORK: list[_Decorator] = [
    _option("--proxy", "The proxy on the way to the API; none: straight there.  [default: HTTPS_PROXY]", metavar="URL"),
    _option("--cacert", "A file (or folder) of certificates to trust besides the system's.", metavar="FILE"),
    _option("--cert", "The certificate to show to a server that asks for one.", metavar="FILE"),
    click.option("--key", "cert_key", metavar="FILE", envvar="CLOSEOUT_CERT_KEY", help="The private key of --cert."),
]
_CONFIG: list[_Decorator] = [
    _option(
        "--config", "The configuration file.  [default: closeout.toml here or in the user's folder]", metavar="FILE"
    ),
    _option("--profile", "A [profiles.NAME] of the configuration file.", metavar="NAME"),
]
ID_COLUMN = _option(
    "--id-column", "The column with the ids.  [default: session_id, conversation_id, id, or the only one]"
)
LENIENT_IDS = _option(
    "--lenient-ids", 'Read ids also from ="ID", <ID>, a URL that holds one, and `ID # note`.', is_flag=True
)
ALLOW_EMPTY = _option(
    "--allow-empty", "Finish with exit code 0 where the source is a header, or an empty list, alone.", is_flag=True
)
REASON: list[_Decorator] = [
    _option("--reason", "The close reason, for rows without their own.", metavar="REASON"),
    _option("--allow-unknown-reason", "Send reasons that the API would store as 'unknown'.", is_flag=True),
]
CLOSE: list[_Decorator] = [ID_COLUMN, LENIENT_IDS, ALLOW_EMPTY, *REASON]
GUARDS: list[_Decorator] = [
    _option(
        "--protect",
        "Leave sessions in these statuses alone.  [default: waiting_for_human,awaiting_approval; none: close whatever]",
        metavar="STATUSES",
    ),
    _option("--only-status", "Close only sessions in these statuses; none: in any.", metavar="STATUSES"),
    _option("--idle-for", "Close only sessions whose last message is older than TIME.", metavar="TIME"),
    _option("--expired/--no-expired", "Close only sessions whose time to live is over."),
    _option(
        "--state-max-age",
        "Maximum age, at the close, of the state these three go by.  [default: 5m]",
        metavar="TIME",
    ),
]
MORE_GUARDS: list[_Decorator] = [
    _option(
        "--protect", "Leave sessions in these statuses alone as well, besides those of the job.", metavar="STATUSES"
    ),
]
HOST: list[_Decorator] = [
    _option(
        "--base-url",
        "The API's host.  [default: the vendor's sandbox]",
        envvar=["CLOSEOUT_BASE_URL", "FEATHER_BASE_URL"],
        metavar="URL",
    ),
    _option("--api", "The API's dialect.  [default: 1.21]", metavar="1.21|1.90"),
]
PACE: list[_Decorator] = [
    _option("--rate", "Requests a second (40/s, 600/min), instead of a share.", metavar="RATE"),
    _option("--share", "The share of the organisation's limit to use.  [default: 50%]", metavar="PERCENT"),
    _option("--org-limit", "The organisation's limit.  [default: 6000/min]", metavar="RATE"),
    _option(
        "--pace",
        "Give way to production (yield), or bear a share of 429s first (fair).  [default: yield]",
        metavar="yield|fair",
    ),
    _option("--tolerate", "The share of 429s that changes nothing with --pace fair.  [default: 5%]", metavar="PERCENT"),
    _option("--min-rate", "Never go slower.  [default: 0.5% of the organisation's limit]", metavar="RATE"),
    _option("--concurrency", "Maximum number of requests in flight.  [default: 64]", metavar="N"),
    _option("--max-attempts", "Maximum number of closes sent for one session.  [default: 8]", metavar="N"),
    _option("--give-up-after", "Time for one session, and for an API in trouble.  [default: 10m]", metavar="TIME"),
    _option("--timeout", "One request's time limit.  [default: 30s]", metavar="TIME"),
    _option(
        "--lease",
        "On PostgreSQL: a worker without a heartbeat for this long counts as dead.  [default: 60s]",
        metavar="TIME",
    ),
    _option("--quiet-hours", "When to send less, such as 08:00-20:00@30%, mon-fri 22:00-06:00@0%.", metavar="HOURS"),
    _option("--timezone", "The zone of the quiet hours, such as Europe/Berlin.  [default: this machine's]"),
    _option(
        "--organisation",
        "The organisation whose budget this is, where one ledger serves several.",
        metavar="NAME",
    ),
]
_MAX_FAILURES = _option(
    "--max-failures",
    "Stop when more of the last 1,000 sessions end badly: a share or a count.  [default: 5%]",
    metavar="PERCENT|N",
)
_LIMIT = _option("--limit", "Close at most N sessions; skip the rest.", metavar="N|none")
BRAKE: list[_Decorator] = [
    _MAX_FAILURES,
    _option("--deadline", "Stop closing in time to settle before TIME has passed.", metavar="TIME"),
]
PORTION: list[_Decorator] = [
    _option("--canary", "Close N sessions first, and continue only if they end well; 0 for none.", metavar="N"),
    _LIMIT,
    click.option("--yes", "-y", "yes", is_flag=True, help="Answer yes to each question."),
]
QUEUE: list[_Decorator] = [
    _option("--dedupe-for", "How long a repeated key counts as a duplicate.  [default: 24h]", metavar="TIME"),
    _MAX_FAILURES,
    _option(
        "--probe-every", "The first interval between tries after too many failures.  [default: 30s]", metavar="TIME"
    ),
    _option("--alert-url", "A webhook that is told when trouble begins and ends.", metavar="URL"),
    _LIMIT,
]
LOOKS: list[_Decorator] = [
    _option("--settle-for", "How long to keep looking after the last close.  [default: 15m]", metavar="TIME"),
    _option("--first-look", "How long after a close to look first.  [default: learnt during the run]", metavar="TIME"),
    _option(
        "--none-grace",
        "The age of a close from which its 'none' counts as final, until that is learnt.  [default: 15s]",
        metavar="TIME",
    ),
]
SETTLE: list[_Decorator] = [
    _option("--settle/--no-settle", "Look again until each evaluation is final.  [default: settle]"),
    *LOOKS,
]
_OUTPUT: list[_Decorator] = [
    JSON,
    _option(
        "--export",
        "Write the rows to FILE (.csv, .jsonl, .parquet, .csv.gz …); to FILE.part while they come.",
        metavar="FILE",
    ),
    click.option(
        "--force",
        is_flag=True,
        help="Replace the FILE of --export, whatever it is; never a ledger, its files, or a source.",
    ),
    _option("--progress/--no-progress", "Show progress.  [default: a display on a terminal, plain lines elsewhere]"),
    _option("--log-format", "console or json.  [default: console]", type=click.Choice(["console", "json"])),
    click.option("-v", "--verbose", "verbosity", count=True, help="Say more: -v what happens, -vv every answer."),
]


def working_options(*groups: list[_Decorator]) -> _Decorator:
    """The flags of a command that sends requests: the given groups, the key, the ledger, the output."""
    options: list[_Decorator] = [each for group in groups for each in group]
    options += [_KEY_FILE, _KEY_COMMAND, *_NETWORK, *_CONFIG, LEDGER, *_OUTPUT]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
