"""How the process ends, whatever was raised."""

import pytest

from closeout.jobs import cli


def test_ctrl_c_within_a_task_group_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes in a group where a run has just ended and is being put away, and had been told as a traceback."""

    def interrupted(**_: object) -> int:
        raise BaseExceptionGroup("unhandled errors in a TaskGroup", [KeyboardInterrupt()])

    monkeypatch.setattr(cli.cli, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
