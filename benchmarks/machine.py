"""The machine, and how much of it others used while the benchmarks ran."""

import os
import platform
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def describe_machine() -> str:
    """Processor, cores and interpreter in one line."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores of {model}, {platform.system()} {platform.release()}, {python}"


def _machine_seconds() -> tuple[float, float]:
    """CPU seconds that the machine has spent at work, and those that its host kept from it (steal)."""
    times = [
        int(ticks) / _TICKS for ticks in Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
    ]
    user, nice, system, _, _, irq, softirq, steal = times[:8]
    return user + nice + system + irq + softirq, steal


def _own_seconds() -> float:
    """CPU seconds of this process and of all children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass
class Noise:
    """Counts from its making to ``describe``: what others took of the machine makes every wall-clock figure worse."""

    began: float = field(default_factory=time.monotonic)
    machine: tuple[float, float] = field(default_factory=_machine_seconds)
    own: float = field(default_factory=_own_seconds)

    def describe(self) -> str:
        """One line; all children must have ended by now."""
        seconds = time.monotonic() - self.began
        available = seconds * (os.cpu_count() or 1)
        busy, steal = (now - then for now, then in zip(_machine_seconds(), self.machine, strict=True))
        own = _own_seconds() - self.own
        others = max(0.0, busy - own)
        return (
            f"took {seconds:.0f} s; of the machine's CPU time the benchmarks used {own / available:.0%}, "
            f"other processes {others / available:.0%}, its host {steal / available:.0%}"
        )
