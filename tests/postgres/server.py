"""A PostgreSQL server of the test's own, which may be restarted and killed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import missing

_ACCESS = """\
host all guarded 127.0.0.1/32 scram-sha-256
local all all trust
host all all samenet trust
"""


def _programs() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places or not (places[-1] / "initdb").exists():
        missing("PostgreSQL's initdb and pg_ctl")
    return places[-1]


def _other_user() -> str | None:
    """Who runs it where this is root, as whom it refuses to run."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        missing("the user postgres, as whom root runs a PostgreSQL server")


class Server:
    """Listens at one address. ``url`` is that of its database, for a user who may do anything."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.url = f"postgresql://postgres@{host}:{port}/postgres"
        self._programs = _programs()
        self._folder = folder
        self._user = _other_user()
        if self._user:
            shutil.chown(folder, self._user)
        self._run("initdb", "-D", str(folder / "data"), "-U", "postgres", "--no-sync", "-A", "trust")
        (folder / "data" / "pg_hba.conf").write_text(_ACCESS, encoding="utf-8")
        options = f"port = {port}\nlisten_addresses = '{host}'\nunix_socket_directories = ''\n"
        with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(options)
        self.start()

    def start(self) -> None:
        self._ctl("start", "-l", str(self._folder / "log"), "-o", "-c max_connections=60")

    def stop(self, mode: str = "fast") -> None:
        self._ctl("stop", "-m", mode)

    def restart(self, mode: str) -> None:
        """``fast`` breaks all connections, ``immediate`` is as good as a crash."""
        self.stop(mode)
        self.start()

    def _ctl(self, what: str, *more: str) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", what, *more)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        quiet = subprocess.DEVNULL
        subprocess.run(command, check=True, user=self._user, cwd=self._folder, stdin=quiet, stdout=quiet, stderr=quiet)


@contextmanager
def private_server(host: str = "127.0.0.1") -> Iterator[Server]:
    """One that is gone afterwards."""
    with socket.create_server((host, 0)) as unused:
        port = int(unused.getsockname()[1])
    home = "/tmp" if os.geteuid() == 0 else None  # noqa: S108  # the other user may be kept out of root's TMPDIR
    folder = Path(tempfile.mkdtemp(prefix="closeout-postgres-", dir=home))
    try:
        server = Server(folder, host, port)
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
