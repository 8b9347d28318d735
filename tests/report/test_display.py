"""The display and the lines: what they say, that they fit, and that they go away quietly."""

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import anyio
import anyio.lowlevel
import pyte
import pytest
from rich.console import Console

from closeout.worker.config.settings import Settings
from closeout.worker.domain.item import Outcome
from closeout.worker.report.live_display import Frame, line_of, show_display, show_lines
from closeout.worker.runtime.snapshot import Meter, Snapshot
from closeout.worker.runtime.stop import Alarms
from tests.report.support import Standing


def busy_shot(standing: Standing | None = None) -> Snapshot:
    """The middle of a run, ten seconds after its beginning."""
    standing = standing or Standing()
    meter = Meter(standing.context)
    standing.clock.now += 10
    standing.busy()
    return meter.take()


def drawn(shot: Snapshot, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(Frame(shot))
    return out.getvalue().splitlines()


def test_a_line_tells_the_state_of_a_run() -> None:
    assert line_of(busy_shot()) == (
        "closing  12,400 of 100,000 rows  12 duplicates  12,310 closed  40 already closed  47 invalid  3 failed  "
        "64 in flight  1,250/s of 50/s  2 throttled  settled 11,000  left 1 min 11 s"
    )


def test_a_line_says_what_is_not_known_yet() -> None:
    line = line_of(replace(busy_shot(), total=None, left=None))
    assert "12,400 of 100,000 rows so far" in line
    assert line.endswith("left unknown")


def test_a_line_says_why_nothing_leaves() -> None:
    assert "waiting 12 s because the API asked to" in line_of(replace(busy_shot(), held_for=12.0))


def test_a_line_says_that_it_drains_and_why() -> None:
    line = line_of(replace(busy_shot(), phase="draining", draining=True, why="interrupted by Ctrl-C", left=None))
    assert line.startswith("draining  ")
    assert line.endswith("64 in flight  1,250/s of 50/s  2 throttled  settled 11,000  interrupted by Ctrl-C")


def test_a_line_without_settling_does_not_speak_of_it() -> None:
    assert "settled" not in line_of(busy_shot(Standing(Settings(settle=False))))


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_display_tells_all_at_any_width_and_breaks_no_part(width: int) -> None:
    shot = replace(
        busy_shot(),
        outcomes=busy_shot().outcomes + Counter({Outcome.SKIPPED: 1_000, Outcome.REJECTED: 77, Outcome.NOT_FOUND: 5}),
        in_doubt=9,
        held_for=12.0,
    )
    lines = drawn(shot, width)
    assert max(map(len, lines)) <= width
    for part in (
        "12,400 of 100,000  12%",
        "100,012 read",
        "12 duplicates",
        "12,310 closed",
        "40 already closed",
        "1,000 skipped",
        "5 not found",
        "47 invalid",
        "77 rejected",
        "3 failed",
        "9 in doubt",
        "1,250/s of 50/s",
        "64 in flight",
        "2 throttled",
        "11,000 of 12,350 evaluations",
        "1 min 11 s",
        "waiting 12 s because the API asked to",
    ):
        assert any(part in line for line in lines), part


def test_before_the_source_is_done_there_is_no_percentage() -> None:
    text = "\n".join(drawn(replace(busy_shot(), total=None, left=None), 80))
    assert "12,400 of 100,000 so far" in text
    assert "%" not in text
    assert "ETA       unknown" in text


def test_an_empty_source_is_all_done() -> None:
    shot = replace(busy_shot(), total=0, done=0)
    assert "0 of 0  100%" in drawn(shot, 80)[1]


@pytest.mark.parametrize("width", [60, 80])
def test_a_long_reason_to_stop_is_shown_whole(width: int) -> None:
    why = "no usable answer from the API for 10 min 0 s (last: connect_timeout): resume when it is back, and not before"
    lines = drawn(replace(busy_shot(), phase="draining", draining=True, why=why, left=None), width)
    assert max(map(len, lines)) <= width
    assert why in " ".join(" ".join(lines).split())
    assert not any(line.startswith("ETA") for line in lines)


def test_a_long_source_gives_way_to_the_clock() -> None:
    title = drawn(replace(busy_shot(), source="s" * 200), 60)[0]
    assert title.endswith("…  10 s")
    assert len(title) == 60


def test_the_display_is_gone_when_it_is_cancelled() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None, _environ={})

    async def watch() -> None:
        async with anyio.create_task_group() as beside:
            beside.start_soon(show_display, Standing().context, console)
            await anyio.wait_all_tasks_blocked()
            beside.cancel_scope.cancel()

    anyio.run(watch)
    text = out.getvalue()
    assert "run k3m9x2pq" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    last_frame = text.rindex("run k3m9x2pq")
    assert "\x1b[2K" in text[last_frame:]


def test_the_display_leaves_a_terminal_of_few_rows_without_a_trace() -> None:
    """It was cut to the rows that there are; drawn whole at the end, it would stay in what scrolls back."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=5, color_system=None, _environ={})

    async def watch() -> None:
        async with anyio.create_task_group() as beside:
            beside.start_soon(show_display, Standing().context, console)
            await anyio.wait_all_tasks_blocked()
            beside.cancel_scope.cancel()

    console.print("what was said before")
    anyio.run(watch)
    console.print("what was said after")
    screen = pyte.HistoryScreen(80, 5)
    pyte.Stream(screen).feed(out.getvalue().replace("\n", "\r\n"))
    above = ["".join(line[column].data for column in range(80)).rstrip() for line in screen.history.top]
    shown = [line.rstrip() for line in screen.display]
    assert [line for line in above + shown if line] == ["what was said before", "what was said after"]


class Ending(io.StringIO):
    """Ends its reader's scope after so many lines."""

    def __init__(self, scope: anyio.CancelScope, lines: int) -> None:
        super().__init__()
        self._scope = scope
        self._lines = lines

    def flush(self) -> None:
        if self.getvalue().count("\n") >= self._lines:
            self._scope.cancel()


def test_lines_come_until_cancelled() -> None:
    async def watch() -> str:
        with anyio.CancelScope() as scope:
            out = Ending(scope, lines=3)
            await show_lines(Standing().context, 0.0, out)
        return out.getvalue()

    lines = anyio.run(watch).splitlines()
    assert lines == ["closing  0 of 0 rows so far  0 in flight  0/s of 50/s  0 throttled  settled 0  left unknown"] * 3


def test_work_without_an_end_prints_no_line_where_nothing_changes() -> None:
    """A night of lines that say the same hides the one that does not."""
    context = Standing().context
    context.alarms = Alarms(lambda _: None)

    async def watch() -> str:
        out = io.StringIO()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(show_lines, context, 0.0, out)
            for rows in (0, 5):
                context.progress.rows_read = rows
                for _ in range(20):
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        return out.getvalue()

    lines = anyio.run(watch).splitlines()
    assert [line.split("  ")[1] for line in lines] == ["0 of 0 rows so far", "0 of 5 rows so far"]


class Gone(io.StringIO):
    """A reader that has hung up."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_hangs_up_does_not_end_the_run() -> None:
    anyio.run(show_lines, Standing().context, 0.0, Gone())
    console = Console(file=Gone(), force_terminal=True, _environ={})
    console.on_broken_pipe = _raise  # type: ignore[method-assign]
    anyio.run(show_display, Standing().context, console)


def _raise() -> None:
    raise BrokenPipeError


def test_what_was_said_while_a_person_was_asked_stays() -> None:
    """The display that goes on after the answer moves no cursor up over what was printed meanwhile."""
    standing, out = Standing(), io.StringIO()
    context = standing.context
    console = Console(file=out, force_terminal=True, width=80, _environ={"TERM": "xterm"})

    async def until(condition: Callable[[], bool]) -> None:
        while True:
            if condition():
                return
            await anyio.sleep(0.01)

    async def asked() -> None:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(show_display, context, console)
                await until(lambda: "closing" in out.getvalue())
                async with context.screen.cleared():
                    assert out.getvalue().endswith("\x1b[2K")
                    out.write("canary: 5 closed")
                await until(lambda: "closing" in out.getvalue().partition("canary: 5 closed")[2])
                tasks.cancel_scope.cancel()

    anyio.run(asked)
    drawn_next = out.getvalue().partition("canary: 5 closed")[2].partition("closing")[0]
    assert "\x1b[1A" not in drawn_next


def test_no_line_comes_while_a_question_stands() -> None:
    """Nor all those afterwards that were kept back: one picture of now."""
    standing, out = Standing(), io.StringIO()

    async def asked() -> None:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                async with standing.context.screen.cleared():
                    tasks.start_soon(show_lines, standing.context, 0.0, out)
                    await anyio.wait_all_tasks_blocked()
                    assert out.getvalue() == ""
                while not out.getvalue():  # a stream tells nobody
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()

    anyio.run(asked)


def test_without_standard_error_no_line_goes_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output is the result's."""
    monkeypatch.setattr("sys.stderr", None)
    anyio.run(show_lines, Standing().context, 0.0)
    assert capsys.readouterr().out == ""
