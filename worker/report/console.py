"""The console on standard error, on which everything but the result appears."""

from rich.console import Console


class PatientConsole(Console):
    """A console whose reader may go away; what is printed then is lost, and the work goes on."""

    def on_broken_pipe(self) -> None:
        """Rich would end the process here."""
        self.quiet = True


def stderr_console() -> Console:
    """The console for people. A display and the log must share one, so that neither tears the other."""
    return PatientConsole(stderr=True, highlight=False)


def stdout_console() -> Console:
    """A console for results. In a pipe nothing is folded to the width of a screen that is not there."""
    console = PatientConsole()
    if not console.is_terminal:
        console.width = 200
    return console
