"""The key and personal data: nowhere, whatever happens."""

from pathlib import Path

from closeout.worker.sandbox import PRIVATE_MARKER, Sandbox, SandboxConfig
from tests.front_door.servers import echoing, serving
from tests.front_door.support import FAST, KEY, Desk, Done, desk_of, quick, side_by_side

SOME = Sandbox(SandboxConfig(seed=5)).add_sessions(3)
SECRETS = (KEY, PRIVATE_MARKER)


def assert_nothing_shows(desk: Desk, *done: Done) -> None:
    """No secret in what commands said, nor in any file that they left."""
    for one in done:
        for secret in SECRETS:
            assert secret not in one.out + one.err
    files = [path for path in desk.home.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in content, path.name


def test_the_key_and_personal_data_show_nowhere(tmp_path: Path) -> None:
    """A run with faults, logged at ``-vv``, shown and exported, holds neither in any file or output."""
    side_by_side(check_a_verbose_run, (tmp_path / "console", "console"), (tmp_path / "json", "json"))


def check_a_verbose_run(home: Path, log_format: str) -> None:
    """Close, show and export, and look into everything that was said and left behind."""
    faults = {
        "500": 0.1,
        "html_502": 0.1,
        "reset_after": 0.1,
        "not_json": 0.1,
        "truncated": 0.1,
        "422": 0.1,
        "404": 0.1,
    }
    config = quick(
        close_faults=faults, read_faults={"drift": 0.5}, list_faults={"drift": 0.5}, max_faults_per_session=1
    )
    with desk_of(home, config) as (desk, sandbox):
        ids = sandbox.add_sessions(40)
        desk.write_ids(ids)
        verbose = ("-vv", "--log-format", log_format, "--export", "rows.csv")
        done = desk.run("close", "sessions.csv", *FAST, *verbose)
        session = ("show", "last", "--session", ids[0])
        shown = desk.run_all(session, ("show", "last", "--json"), ("export", "last", "-o", "rows.jsonl"))
        assert {one.code for one in shown} == {0}
    assert done.code == 1
    assert ids[0] in done.err, "-vv says nothing of the sessions: nothing was tested"
    assert (home / "rows.csv").stat().st_size > 1000
    assert_nothing_shows(desk, done, *shown)


def test_the_key_shows_nowhere_while_a_run_is_at_work(tmp_path: Path) -> None:
    """The write-ahead log of a process that was killed holds no secret either."""
    with desk_of(tmp_path, quick()) as (desk, sandbox):
        desk.write_ids(sandbox.add_sessions(60))
        with desk.started("close", "sessions.csv", "--rate", "60/s", "--no-progress", "-vv") as child:
            sandbox.on_request = lambda *_: child.process.kill() if sandbox.counts.closes_effective == 30 else None
            done = child.ended()
    assert done.code == -9
    assert (tmp_path / "closeout.db-wal").stat().st_size > 0
    assert_nothing_shows(desk, done)


def test_a_server_that_repeats_the_key_does_not_make_it_show(tmp_path: Path) -> None:
    """Whatever an answer says is not repeated: errors are kept as codes."""
    answers = [(401, "json"), (403, "code"), (422, "code"), (500, "html"), (200, "json")]
    side_by_side(check_an_echo, *((tmp_path / str(status), status, shape) for status, shape in answers))


def check_an_echo(home: Path, status: int, shape: str) -> None:
    """Close sessions at a server that repeats the key in its errors."""
    home.mkdir()
    with serving(echoing(status, shape=shape)) as url:
        desk = Desk(home, url)
        limits = ("--give-up-after", "600ms", "--max-attempts", "2")
        done = desk.run("close", desk.write_ids(SOME), *FAST, *limits, "-vv", "--log-format", "json")
    assert done.code in (1, 3)
    assert desk.query("SELECT count(*) > 0 FROM attempts") == [(1,)]
    assert_nothing_shows(desk, done)


def test_the_key_does_not_show_when_nothing_can_be_reached(tmp_path: Path) -> None:
    """An unreachable or forbidden host, at ``-vv``: an error in the ledger or one line, without the key."""
    urls = ("http://127.0.0.1:9", "https://127.0.0.1:9", "http://example.com")
    side_by_side(check_a_host, *((tmp_path / str(number), url) for number, url in enumerate(urls)))


def check_a_host(home: Path, url: str) -> None:
    """Close sessions where nothing answers."""
    home.mkdir()
    desk = Desk(home, url)
    done = desk.run("close", desk.write_ids(SOME), *FAST, "--give-up-after", "300ms", "-vv")
    assert done.code in (2, 3)
    assert_nothing_shows(desk, done)


def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(tmp_path: Path) -> None:
    """A malformed key, a key file open to others, a bad configuration: one line each, and not the key."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o644)
    desk = Desk(tmp_path, "http://127.0.0.1:9", key=f"{KEY} two words")
    source = desk.write_ids(SOME)
    refused = desk.run_all(("close", source), ("close", source, "--api-key-file", "key"))
    desk.key = None
    refused += desk.run_all(("close", source, "--rate", "fast"), ("close", source))
    for done in refused:
        assert done.code == 2
        assert KEY not in done.out + done.err
        assert "Traceback" not in done.err
    assert not desk.ledger.exists()
