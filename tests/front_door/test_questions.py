"""Questions, by what the screen of a real terminal shows while they stand, and what comes of the answer."""

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from closeout.worker.sandbox import Sandbox, rendering
from tests.forked import Forked
from tests.front_door.support import FAST, LONGEST, Desk, Witness, desk_of, quick, wait_until, waited
from tests.front_door.terminal import CTRL_C, CTRL_D, Terminal, at_a_terminal, squeezed
from tests.front_door.test_sweep import IDLE, add, ago, night

WORDS = (*(word for word in FAST if word != "--no-progress"), "--no-settle")
FIRST = "Close them? [y/N]:"
REST = "Go on with the rest? [y/N]:"
ALL_THE_SAME = "Close them anyway? [y/N]:"


@dataclass(frozen=True)
class Asking:
    """A command that asks: with what words, about what, how many closes it has sent by then and sends after a yes."""

    desk: Desk
    sandbox: Sandbox
    words: tuple[str, ...]
    question: str
    facts: tuple[str, ...]
    before: int
    after: int
    no: int  # its exit code

    def at_a_terminal(self, *words: str, columns: int = 200, rows: int = 40) -> AbstractContextManager[Terminal]:
        return at_a_terminal(self.desk, *self.words, *WORDS, *words, columns=columns, rows=rows)

    @property
    def closed(self) -> int:
        assert self.sandbox.counts.closes_repeated == 0
        return self.sandbox.counts.requests["close"]

    @property
    def text(self) -> str:
        """What stands on the screen, squeezed."""
        return squeezed("".join(f"closeout: {fact}" for fact in self.facts) + self.question)


@dataclass(frozen=True)
class AskingTwice(Asking):
    """It asks already before it begins, and is agreed to."""

    @contextmanager
    def at_a_terminal(self, *words: str, columns: int = 200, rows: int = 40) -> Iterator[Terminal]:
        with super().at_a_terminal(*words, columns=columns, rows=rows) as terminal:
            if "--yes" not in words:
                terminal.wait_for_question(FIRST)
                terminal.type("y\n")
            yield terminal


@contextmanager
def listed(home: Path) -> Iterator[Asking]:
    """A file, which asks before there is a run at work."""
    with desk_of(home, quick()) as (desk, sandbox):
        ids = sandbox.add_sessions(40)
        facts = (
            f'sessions.csv: ids: column 1 "session_id" of 1, header in line 1; first {ids[0][:8]}…',
            f"40 sessions to close on {desk.url}, which cannot be undone",
        )
        yield Asking(desk, sandbox, ("close", desk.write_ids(ids)), FIRST, facts, 0, 40, no=2)


@contextmanager
def canary(home: Path) -> Iterator[Asking]:
    """Of 40 sessions, 5 go first."""
    with desk_of(home, quick()) as (desk, sandbox):
        words = ("close", desk.write_ids(sandbox.add_sessions(40)), "--canary", "5")
        yield AskingTwice(desk, sandbox, words, REST, ("canary: 5 closed; evaluations: 5 none",), 5, 40, no=3)


@contextmanager
def sweep(home: Path) -> Iterator[Asking]:
    """More than the job may close, which is known before the display has drawn anything, or just then."""
    with night(home, IDLE + "max_close = 20\n") as (desk, sandbox):
        add(sandbox, 50, ago(days=2))
        facts = ("50 sessions match", "more sessions match than max_close = 20 allows")
        yield Asking(desk, sandbox, ("sweep", "night"), ALL_THE_SAME, facts, 0, 50, no=3)


@contextmanager
def fourth_night(home: Path) -> Iterator[Asking]:
    """Over ten times as many as in the three nights before."""
    with night(home) as (desk, sandbox):
        for _ in range(3):
            add(sandbox, 1, ago(days=2))
            assert desk.run("sweep", "night", *FAST, "--no-settle").code == 0
        add(sandbox, 41, ago(days=2))
        strange = "41 sessions match, over 10 times the median of the last 3 times (1)"
        yield Asking(desk, sandbox, ("sweep", "night"), ALL_THE_SAME, ("41 sessions match", strange), 3, 44, no=3)


def plan_of(home: Path, count: int, question: str) -> Iterator[Asking]:
    with desk_of(home, quick()) as (desk, sandbox):
        desk.run("plan", desk.write_ids(sandbox.add_sessions(count)), *FAST)
        ((name,),) = desk.query("SELECT name FROM runs")
        told = f"plan {name}: {count:,} sessions to close on {desk.url}, which cannot be undone"
        yield Asking(desk, sandbox, ("apply", "last"), question, (told,), 0, count, no=2)


@contextmanager
def plan(home: Path) -> Iterator[Asking]:
    """A plan to apply, which asks before there is a run at work."""
    yield from plan_of(home, 3, "Close them? [y/N]:")


@contextmanager
def great_plan(home: Path) -> Iterator[Asking]:
    """The same of so many that their number is to be typed."""
    yield from plan_of(home, 1_000, "Type their number to close them:")


Place = Callable[[Path], AbstractContextManager[Asking]]
PLACES: list[Place] = [listed, canary, sweep, plan]


def places(*of: Place) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", of, ids=lambda place: place.__name__)


@places(listed, canary, sweep, fourth_night, plan, great_plan)
def test_a_question_stands_below_its_facts(tmp_path: Path, place: Place) -> None:
    """They are the last that the screen shows, in their order, with the cursor behind the question."""
    with place(tmp_path) as asking, asking.at_a_terminal() as terminal:
        terminal.wait_for_question(asking.question)
        assert terminal.shown.endswith(asking.text)
        assert asking.closed == asking.before


@places(*PLACES)
@pytest.mark.parametrize(
    ("columns", "rows", "flags"),
    [(40, 24, ()), (40, 5, ()), (40, 5, ("-vv",)), (100, 40, ("-v",)), (100, 40, ("--no-progress", "-vv"))],
)
def test_a_question_stands_below_its_facts_in_any_terminal(
    tmp_path: Path, place: Place, columns: int, rows: int, flags: tuple[str, ...]
) -> None:
    """Narrow, so that they are folded; low; with a log; without a display. And the work goes on from there."""
    with place(tmp_path) as asking, asking.at_a_terminal(*flags, columns=columns, rows=rows) as terminal:
        terminal.wait_for_question(asking.question)
        begins_above = place is listed and rows == 5  # its facts are longer than such a screen
        assert asking.text.endswith(terminal.shown) if begins_above else terminal.shown.endswith(asking.text)
        terminal.type("y\n")
        assert terminal.ended() == 0
        assert asking.closed == asking.after


@places(*PLACES)
@pytest.mark.parametrize("typed", ["y\n", "YES \n"])
def test_yes_goes_on(tmp_path: Path, place: Place, typed: str) -> None:
    """Whatever its case."""
    with place(tmp_path) as asking, asking.at_a_terminal() as terminal:
        terminal.wait_for_question(asking.question)
        terminal.type(typed)
        assert terminal.ended() == 0
        assert asking.closed == asking.after
    assert_alone(terminal, asking.question, typed.rstrip("\n"))


@places(*PLACES)
@pytest.mark.parametrize("typed", ["n\n", "\n", "yy\n", CTRL_D, "y" + CTRL_D + CTRL_D])
def test_anything_else_is_a_no(tmp_path: Path, place: Place, typed: str) -> None:
    """Also the end of the input, at once or within a line: no more is sent than was before."""
    with place(tmp_path) as asking, asking.at_a_terminal() as terminal:
        terminal.wait_for_question(asking.question)
        terminal.type(typed)
        assert terminal.ended() == asking.no
        assert asking.closed == asking.before
    assert_alone(terminal, asking.question, typed.rstrip("\n" + CTRL_D))


@places(*PLACES, great_plan)
@pytest.mark.parametrize("begun", ["", "y"])
def test_one_ctrl_c_ends_a_question(tmp_path: Path, place: Place, begun: str) -> None:
    """And the command, with no more sent than was before."""
    with place(tmp_path) as asking, asking.at_a_terminal() as terminal:
        terminal.wait_for_question(asking.question)
        terminal.type(begun)
        terminal.wait_for(f"{asking.question} {begun}")
        terminal.type(CTRL_C)
        assert terminal.ended() == 130
        assert asking.closed == asking.before
    assert_alone(terminal, asking.question, f"{begun}^C")


@pytest.mark.parametrize(("typed", "agreed"), [("1,000\n", True), ("y\n", False), ("100\n", False), (CTRL_D, False)])
def test_many_are_agreed_to_by_their_number(tmp_path: Path, typed: str, *, agreed: bool) -> None:
    """And by nothing else."""
    with great_plan(tmp_path) as asking, asking.at_a_terminal() as terminal:
        terminal.wait_for_question(asking.question)
        terminal.type(typed)
        assert terminal.ended() == (0 if agreed else 2)
        assert asking.closed == (1_000 if agreed else 0)


def assert_alone(terminal: Terminal, question: str, typed: str) -> None:
    """Nothing was written between the question and the end of its line but what was typed."""
    told = terminal.seen.partition(f"{question} ")[2]
    assert told.startswith(f"{typed}\r\n"), told[:200]


@contextmanager
def held_up(sandbox: Sandbox, nth: int, kind: str) -> Iterator[threading.Event]:
    """A sandbox that answers no more from the nth request of a kind on, until the event is set."""
    going_on = threading.Event()
    Witness(sandbox).at(nth, lambda: waited(going_on), kind)
    try:
        yield going_on
    finally:
        going_on.set()


def test_the_display_comes_back_below_the_answer(tmp_path: Path) -> None:
    """Which stays on the screen, as do the facts; and the display fits a window that has become narrow meanwhile."""
    with (
        canary(tmp_path) as asking,
        held_up(asking.sandbox, 10, "close") as going_on,
        asking.at_a_terminal(columns=100) as terminal,
    ):
        terminal.wait_for_question(asking.question)
        terminal.resize(60, 40)
        assert terminal.asks(asking.question)
        terminal.type("y\n")
        answered = f"{asking.question} y"
        terminal.wait_until(lambda: drawn_below(terminal, answered), "no display came back")
        assert terminal.lines[terminal.lines.index(answered) - 1] == f"closeout: {asking.facts[0]}"
        going_on.set()
        assert terminal.ended() == 0
        assert answered in terminal.lines
    assert not any("in flight" in line for line in terminal.lines)


def drawn_below(terminal: Terminal, line: str) -> bool:
    """Whether the display stands directly below a line, and whole."""
    _, found, below = "\n".join(terminal.lines).partition(f"{line}\n")
    rows = below.split("\n")
    return bool(found) and rows[0].startswith("closing  run") and rows[0].endswith(" s") and "ETA" in rows[-1]


def test_what_is_told_without_a_question_stands_above_the_display(tmp_path: Path) -> None:
    """With --yes there is none."""
    with (
        canary(tmp_path) as asking,
        held_up(asking.sandbox, 10, "close") as going_on,
        asking.at_a_terminal("--yes", columns=100) as terminal,
    ):
        told = f"closeout: {asking.facts[0]}"
        terminal.wait_until(lambda: drawn_below(terminal, told), f"{told!r} does not stand above the display")
        going_on.set()
        assert terminal.ended() == 0
        assert told in terminal.lines
    assert REST not in terminal.seen


def test_what_is_written_while_a_question_stands_appears_after_the_answer(tmp_path: Path) -> None:
    """A look at evaluations is still in flight when the canary's time to settle is over, and its answer is logged."""
    with canary(tmp_path) as asking, held_up(asking.sandbox, 1, "list") as going_on:
        words = ("--settle", "--settle-for", "1s", "--protect", "none", "-v")
        with asking.at_a_terminal(*words, columns=100) as terminal:
            terminal.wait_for_question(REST)
            looks = "SELECT count(*) FROM attempts WHERE kind = 'list'"
            assert asking.desk.query(looks) == [(0,)]
            going_on.set()
            wait_until(lambda: asking.desk.query(looks) != [(0,)])
            terminal.type("n\n")
            assert terminal.ended() == 3
    assert_alone(terminal, REST, "n")
    assert "looked at evaluations" in terminal.seen.partition(REST)[2]


@places(*PLACES)
def test_what_was_typed_before_a_question_does_not_answer_it(tmp_path: Path, place: Place) -> None:
    """A line, and the beginning of one."""
    with place(tmp_path) as asking, asking.at_a_terminal() as terminal:
        terminal.type("y\ny\ny")
        terminal.wait_for_question(asking.question)
        terminal.type("n\n")
        assert terminal.ended() == asking.no
        assert asking.closed == asking.before


def test_two_questions_of_one_run_stand_one_after_the_other(tmp_path: Path) -> None:
    """A sweep of too many is let go on, and its canary is not."""
    with sweep(tmp_path) as asking, asking.at_a_terminal("--canary", "5") as terminal:
        terminal.wait_for_question(ALL_THE_SAME)
        assert terminal.shown.endswith(asking.text)
        terminal.type("y\n")
        terminal.wait_for_question(REST)
        assert terminal.shown.endswith(squeezed(f"closeout: canary: 5 closed; evaluations: 5 none{REST}"))
        terminal.type("n\n")
        assert terminal.ended() == 3
        assert asking.closed == 5


@contextmanager
def through_a_shell(desk: Desk, script: str) -> Iterator[Terminal]:
    """A shell at a terminal of its own, in which `closeout` is ours."""
    master, slave = pty.openpty()
    begun = f'closeout() {{ {sys.executable} -m closeout "$@"; }}; {script}'
    command = ["setsid", "--ctty", "--wait", "bash", "-c", begun]
    env = desk.environment() | {"TERM": "xterm", "CLOSEOUT_RATE": "600/s", "CLOSEOUT_SETTLE": "false"}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=desk.home, env=env) as process:
        os.close(slave)
        try:
            yield Terminal(cast("Forked", process), master, 80, 24)  # as much of one as is needed
        finally:
            process.kill()
            os.close(master)


OWN_SESSION = f"setsid --wait {sys.executable} -m closeout"  # as `su -c` and `runuser -c` begin it
SHELLS = {
    "tee": "closeout close sessions.csv 2>&1 | tee log",
    "log": "closeout close sessions.csv 2> log",
    "no-stderr": "closeout close sessions.csv 2>&-",
    "pipe": "cat sessions.csv | closeout close - > log",
    "own session": OWN_SESSION + " close sessions.csv",
    "own session, pipe": "cat sessions.csv | " + OWN_SESSION + " close -",
}


@pytest.mark.parametrize("typed", ["y", "n"])
@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_a_person_is_asked_wherever_the_streams_go(tmp_path: Path, shell: str, typed: str) -> None:
    """Whose terminal it is, and what becomes of standard error, makes no difference."""
    with listed(tmp_path) as asking:
        with through_a_shell(asking.desk, SHELLS[shell]) as terminal:
            terminal.wait_until(lambda: squeezed(FIRST) in squeezed(terminal.seen), "nobody was asked")
            assert asking.closed == 0
            terminal.type(f"{typed}\n")
            terminal.ended()
        assert asking.closed == (40 if typed == "y" else 0)


@places(*PLACES)
def test_with_a_closed_standard_input_nobody_is_asked(tmp_path: Path, place: Place) -> None:
    """What may not go on unasked does not; a list is closed, and the canary judged, without a person."""
    with place(tmp_path) as asking:
        command = (sys.executable, "-m", "closeout", *asking.words, *FAST, "--no-settle")
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" <&-', "sh", *command],
            cwd=asking.desk.home,
            env=asking.desk.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST,
        )
    unasked = place in (listed, canary)
    assert done.returncode == (0 if unasked else asking.no), done.stderr
    assert asking.closed == (40 if unasked else asking.before)
    assert "[y/N]" not in done.stderr
    facts = asking.facts[:1] if place is listed else asking.facts  # the host and the number are told otherwise
    assert all(f"closeout: {fact}" in done.stderr.splitlines() for fact in facts)


def test_what_a_server_says_moves_no_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wipe the facts, or answer in the name of a person."""
    hostile = r"\u001b[2J\u001b[H\u009b2Jall well\rcloseout: \u202e\nGo on?"
    rendered = rendering._render_evals
    monkeypatch.setattr(rendering, "_render_evals", lambda evals: rendered(evals._replace(eval_status=hostile)))
    with canary(tmp_path) as asking, asking.at_a_terminal() as terminal:
        terminal.wait_for_question(REST)
        told = terminal.seen.rpartition("canary: ")[2]
        assert "5 closed" in told
        assert not {"\x1b", "\x9b", "\u202e"} & set(told)
        assert terminal.lines[-2].startswith("closeout: canary: 5 closed; evaluations: 5")
