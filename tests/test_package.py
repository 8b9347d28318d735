"""What users install: the wheel, built from the sdist, is one package, whatever else they have of the same names."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.forked import ROOT


def _build(kind: str, source: Path, to: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(to)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = to.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what the sdist holds."""
    place = tmp_path_factory.mktemp("package")
    subprocess.run(["tar", "xzf", _build("sdist", ROOT, place / "sdist"), "-C", str(place)], check=True)
    (source,) = place.glob("closeout-*")
    return _build("wheel", source, place / "wheel")


def test_the_wheel_holds_one_package_and_all_of_it(wheel: Path) -> None:
    """Each file of ``worker`` and ``jobs``, under ``closeout``."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {path for top in ("worker", "jobs") for path in (ROOT / top).rglob("*") if path.is_file()}
    wanted = {f"closeout/{path.relative_to(ROOT).as_posix()}" for path in ours if path.suffix != ".pyc"}
    face = {f"closeout/{path.name}" for path in (ROOT / "src" / "closeout").iterdir() if path.is_file()}
    assert names == wanted | face


@pytest.mark.parametrize("command", [["-m", "closeout", "--help"], ["-c", "from closeout import close_sessions"]])
def test_a_users_own_packages_of_the_same_names_are_not_taken_for_ours(
    wheel: Path, tmp_path: Path, command: list[str]
) -> None:
    """In a folder with a ``jobs`` package and a ``worker.py``, which Python finds first."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")  # our own
    home = tmp_path / "home"
    (home / "jobs").mkdir(parents=True)
    for name in ("jobs/__init__.py", "worker.py"):
        (home / name).write_text("raise SystemExit('this is not ours')\n", encoding="utf-8")
    path = os.pathsep.join([".", str(tmp_path / "installed")])
    done = subprocess.run(
        [sys.executable, *command], cwd=home, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
