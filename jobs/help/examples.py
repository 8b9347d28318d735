"""What the help shows for each command: how it is called, and what its exit codes mean. Data, also for the docs."""

Example = tuple[str, str]  # the command line, and what it does

# The commands by purpose, in the order in which a person meets them.
PURPOSES: dict[str, tuple[str, ...]] = {
    "Close sessions": ("demo", "close", "sweep", "plan", "apply", "schedule", "work", "push"),
    "Go on with a run": ("resume", "retry", "settle"),
    "While it runs": ("rate", "pause", "go", "fleet"),
    "Look": ("runs", "show", "report", "export", "verify", "serve"),
    "Set up": ("doctor", "sandbox", "completion"),
}
MORE = "More commands"

EXAMPLES: dict[str, tuple[Example, ...]] = {
    "demo": (
        ("closeout demo", "a server on loopback, 1,000 sessions, the report"),
        ("closeout demo --folder /tmp/demo", "somewhere else"),
    ),
    "close": (
        ("closeout close sessions.csv --reason abandoned", "close them; half of the organisation's limit is used"),
        ("closeout close ids.txt --rate 20/s --canary 20", "20 first, and the rest only if they end well"),
        ("warehouse-query | closeout close - --json", "ids from a pipe, the summary as JSON"),
        ("closeout close sessions.csv --only-status active --idle-for 24h", "only those that nobody uses"),
    ),
    "sweep": (
        ("closeout sweep stale", "find and close what the job [jobs.stale] of closeout.toml chooses"),
        ("closeout sweep stale --dry-run", "only look, and say what would be closed"),
        ("closeout sweep stale --limit 500", "close five hundred at most"),
    ),
    "plan": (
        ("closeout plan sessions.csv", "look everything up, close nothing"),
        ("closeout plan --job stale", "what a sweep would close now"),
        ("closeout apply last", "then close exactly that"),
    ),
    "apply": (
        ("closeout apply last", "close what the newest plan holds; it asks first"),
        ("closeout apply k3m9 --yes --max-age 2h", "without a question, but not an old one"),
    ),
    "schedule": (
        ("closeout schedule", "run the jobs at their times, until stopped"),
        ("closeout schedule --print systemd", "units for systemd instead; or cron, or kubernetes"),
    ),
    "work": (
        ("closeout work queue:stale", "close what a queue in the ledger gives, until stopped"),
        ("closeout work 'redis://localhost?stream=close&group=closeout'", "the same from Redis"),
    ),
    "push": (
        ("closeout push sessions.csv queue:stale", "fill a queue with the sessions of a file"),
        ("closeout push - queue:stale", "or of a pipe"),
    ),
    "resume": (
        ("closeout resume last", "resume after Ctrl-C, a crash or a halt"),
        ("closeout resume last --rate 10/s", "slower than before"),
        ("closeout resume k3m9 --source rest.csv", "the file lies elsewhere now"),
    ),
    "retry": (
        ("closeout retry last", "attempt what failed, was rejected or not found again"),
        ("closeout retry last --max-attempts 3 --json", "with fewer attempts each"),
    ),
    "settle": (
        ("closeout settle", "all finished runs that need it"),
        ("closeout settle last --settle-for 1h", "one run, with more patience"),
    ),
    "rate": (
        ("closeout rate last 20/s", "slower, from now on"),
        ("closeout go last", "as its settings say again"),
    ),
    "pause": (
        ("closeout pause last", "send nothing for now"),
        ("closeout go last", "continue"),
    ),
    "go": (
        ("closeout go last", "undo pause and rate"),
        ("closeout go k3m9", "of a run by the beginning of its id"),
    ),
    "fleet": (
        ("closeout fleet", "the workers on this ledger, what they hold, the budget"),
        ("closeout fleet --json", "for scripts"),
    ),
    "runs": (
        ("closeout runs", "all runs, the newest first"),
        ("closeout runs --job stale", "the nights of one job, and what was unusual"),
        ("closeout runs --json | jq -r '.[0].run'", "for scripts"),
    ),
    "show": (
        ("closeout show last", "how the newest run stands"),
        ("closeout show --session 0190c1f2-0000-7000-8000-000000000001", "what happened to one session, in any run"),
        ("closeout show k3m9 --session =1+1", "an invalid row, by what stood there"),
    ),
    "report": (
        ("closeout report last -o report.html", "one self-contained page, to mail or to keep"),
        ("closeout report last --format markdown", "for a chat or a ticket"),
    ),
    "export": (
        ("closeout export last > rows.csv", "all rows, as CSV"),
        ("closeout export last -o rows.parquet", "the name tells the format"),
        ("closeout export last -o bad.csv --outcome failed,rejected,not_found", "only what ended badly"),
        ("closeout export last --eval-status failure --format jsonl", "only sessions with this verdict"),
    ),
    "verify": (
        ("closeout verify last", "read 300 closed sessions again and compare"),
        ("closeout verify last --all --rate 10/s", "each of them"),
    ),
    "serve": (
        ("closeout serve", "the live page, on loopback"),
        ("closeout serve --ledger nights.db", "of another ledger"),
    ),
    "doctor": (
        ("closeout doctor", "the working folder's settings, and each profile"),
        ("closeout doctor --profile production --json", "one profile, for a script"),
    ),
    "sandbox": (
        ("closeout sandbox --csv ids.csv", "1,000 sessions to close, without a key"),
        ("closeout sandbox --fault 503=0.05 --limit 6000", "with trouble, and a limit"),
    ),
    "completion": (
        ('eval "$(closeout completion bash)"', "in ~/.bashrc"),
        ('eval "$(closeout completion zsh)"', "in ~/.zshrc, below compinit"),
        ("closeout completion fish > ~/.config/fish/completions/closeout.fish", "once"),
    ),
}

EXIT_CODES: dict[int, str] = {
    0: "finished; every session is closed, already closed or skipped, every verdict final",
    1: "finished; some are not found, invalid, rejected or failed",
    2: "usage or configuration error; nothing was sent",
    3: "halted (failures, key, host, deadline …); resumable",
    4: "finished without failures, but some verdicts were not final in time",
    5: "another process works on that run",
    130: "interrupted by Ctrl-C, after draining; resumable",
    143: "interrupted by TERM, after draining; resumable",
}
# The commands that end with the codes above, and those with others.
WORK_ON_RUNS = frozenset({"close", "sweep", "apply", "resume", "retry", "settle"})
OTHER_CODES: dict[str, dict[int, str]] = {
    "plan": {
        0: "planned",
        1: "planned; some rows are invalid, or not found",
        2: EXIT_CODES[2],
        3: "halted before all was looked up; `closeout resume` continues",
        130: EXIT_CODES[130],
        143: EXIT_CODES[143],
    },
    "work": {
        0: "with --drain or --limit: all is closed, already closed or skipped, every verdict final",
        1: "with --drain or --limit: some are not found, invalid, rejected or failed",
        2: EXIT_CODES[2],
        3: "halted (key, host; with --drain failures, too); resumable",
        4: "with --drain or --limit: no failures, but some verdicts were not final in time",
        130: EXIT_CODES[130],
        143: EXIT_CODES[143],
    },
    "push": {
        0: "all are in the queue",
        1: "some rows name no session; all others are in the queue",
        2: "usage or configuration error, or the queue cannot be used; push again",
    },
    "schedule": {
        0: "printed",
        2: "usage or configuration error; no job was started",
        130: "ended by Ctrl-C, once the running job has drained",
        143: "ended by TERM, once the running job has drained",
    },
    "verify": {0: "all agree", 1: "something disagrees", 2: EXIT_CODES[2], 3: "some could not be read"},
    "doctor": {0: "no problem", 1: "a problem"},
}


def codes_of(command: str) -> dict[int, str]:
    """What the exit codes of a command mean, where they say more than that it worked."""
    return EXIT_CODES if command in WORK_ON_RUNS else OTHER_CODES.get(command, {})
