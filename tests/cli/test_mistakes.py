"""Forty ways to type something wrong: each is answered in one line that says what is wrong, where, and what to do."""

import sys
from pathlib import Path

import anyio
import pytest

from closeout.jobs import cli
from closeout.worker.ledger.sqlite.ledger import SqliteLedger
from tests.cli.support import KEY, write_config
from tests.ledger.support import a_run

CONFIG = 'share = "30%"\n[profiles.production]\nrate = "5/s"\n[jobs.stale]\nselect = {idle_for = "24h"}\n'
CLOSE = "close s.csv "
MISTAKES = [
    ("clsoe", "did you mean close? (see `closeout --help`)"),
    ("--verison", "no such option --verison; did you mean --version?"),
    ("-vv close", "options of a command stand behind it"),
    ("close", "missing argument 'SOURCE...' (see `closeout close --help`)"),
    ("close zzz.csv", "zzz.csv does not exist: check its path"),
    ("close s.cvs", "did you mean 's.csv'?"),
    ("close s.csv extra", "extra does not exist: check its path"),
    (CLOSE + "--rat 5/s", "no such option --rat; did you mean --rate?"),
    (CLOSE + "--rate fast", "--rate: invalid rate 'fast': use e.g. 40/s"),
    (CLOSE + "--rate fast -vv", "--rate: invalid rate 'fast'"),
    (CLOSE + "--share 150%", "--share: invalid share '150%'"),
    (CLOSE + "--reason abandonned", "did you mean abandoned?"),
    (CLOSE + "--protect waiting_for_humann", "did you mean waiting_for_human?"),
    (CLOSE + "--profile prodution", "closeout.toml: there is no [profiles.prodution]; did you mean production?"),
    (CLOSE + "--profile x", "(there are: production)"),
    (CLOSE + "--config closeuot.toml", "--config: closeuot.toml does not exist; did you mean closeout.toml?"),
    (CLOSE + "--config bad.toml", "bad.toml: unknown setting 'shaer'; did you mean share?"),
    (CLOSE + "--base-url api.example.com", "write it like https://api.example.com"),
    (CLOSE + "--api 2", "--api: invalid value '2': use one of '1.21' or '1.90'"),
    (CLOSE + "--concurrency many", "--concurrency: invalid whole number 'many'"),
    (CLOSE + "--concurrency 0", "--concurrency: '0' is too small: it must be at least 1"),
    (CLOSE + "--canary -1", "--canary: '-1' is too small"),
    (CLOSE + "--settle-for 15", "--settle-for: invalid duration '15': use e.g. 30s"),
    (CLOSE + "--export out.xlsx", "the name 'out.xlsx' does not tell a format"),
    (CLOSE + "--export no/where.csv", "no does not exist"),
    (CLOSE + "--api-key-file api.kye", "No such file or directory; did you mean api.key?"),
    (CLOSE + "--log-format jsn", "'jsn' is not one of 'console', 'json'"),
    (CLOSE + "--ledger mysql://x", "a ledger is a file"),
    (CLOSE + "--id-column idd", "has no column 'idd'"),
    ("show", "Name a run".lower()),
    ("show lst", "no run 'lst' in runs.db"),
    ("show {near}", "did you mean {run}?"),
    ("show last --ledger rusn.db", "there is no ledger at rusn.db; did you mean runs.db?"),
    ("sweep stal", "did you mean stale?"),
    ("plan s.csv --job stale", "either a SOURCE or, with --job, a job"),
    ("export last --format parket", "did you mean parquet?"),
    ("export last --outcome faild", "did you mean failed?"),
    ("report last -o night.pdf", "'night.pdf' does not tell a format: let it end in .html or .md, or give --format"),
    ("rate last quick", "RATE: invalid rate 'quick'"),
    ("verify last --all --sample 3", "exclude each other"),
    ("completion", "Choose from: bash, zsh, fish (see `closeout completion --help`)"),
    ("show --session zzz", "no session or invalid row 'zzz' in any run of runs.db"),
    ("demo --folder s.csv", "--folder s.csv: File exists"),
    ("sandbox --fault 503", "--fault '503': write it like 503=0.05"),
    ("sandbox --port 99999", "99999 is not in the range"),
]


async def _a_ledger() -> str:
    async with SqliteLedger.open(Path("runs.db"), create=True) as ledger:
        return (await a_run(ledger, [1])).name


@pytest.mark.parametrize(("words", "told"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_told_in_one_line(
    words: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing on standard output, no trace, no ledger made."""
    run = anyio.run(_a_ledger)
    write_config(CONFIG)
    Path("bad.toml").write_text('shaer = "30%"\n', encoding="utf-8")
    Path("s.csv").write_text("session_id\n0190c1f2-0000-7000-8000-000000000001\n", encoding="utf-8")
    Path("api.key").touch(mode=0o600)
    files = {path.name for path in Path().iterdir()}
    monkeypatch.setenv("CLOSEOUT_API_KEY", KEY)
    monkeypatch.setenv("CLOSEOUT_LEDGER", "runs.db")
    named = {"run": run, "near": run[:4] + run[4:6][::-1] + "x"}
    monkeypatch.setattr(sys, "argv", ["closeout", *words.format(**named).split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("closeout: ")
    assert told.format(**named) in err
    assert {path.name for path in Path().iterdir()} - files <= {"runs.db.lock"}
