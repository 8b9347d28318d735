"""What a command was asked for: settings, ledger, key, and how it tells."""

import os
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

import anyio
import click
from pydantic import SecretStr
from rich.console import Console

from closeout.jobs.config.credentials import find_key, read_address
from closeout.jobs.config.file import RawSettings, build_settings, config_path, overlay, read_config, read_toml
from closeout.jobs.config.options import DEFAULT_LEDGER
from closeout.worker.api.tls import check_files
from closeout.worker.config.access import Access
from closeout.worker.config.dialect import check_reason
from closeout.worker.config.network import network_of
from closeout.worker.config.settings import Settings
from closeout.worker.domain.run import Run
from closeout.worker.export.formats import check_place, format_of
from closeout.worker.ledger.open import check_address, open_ledger
from closeout.worker.ledger.protocol import Ledger
from closeout.worker.monitoring.listen import Address, parse_address
from closeout.worker.report.console import stderr_console
from closeout.worker.support.errors import ConfigurationError
from closeout.worker.support.log import ConsoleStream, configure_logging

PATIENCE: float = Settings.model_fields["give_up_after"].default  # seconds, where no settings are read


@dataclass(frozen=True, slots=True)
class Invocation:
    """What was asked. ``flags`` are the settings given as flags alone, which also override a stored run's.

    ``api_gone``: the API ends with this command, as that of the demo does.
    """

    settings: Settings
    flags: RawSettings
    access: Access
    ledger: str
    as_json: bool = False
    export: str | None = None
    force: bool = False
    progress: bool | None = None
    yes: bool = False
    listen: Address | None = None
    alert_url: SecretStr | None = None
    api_gone: bool = False
    console: Console = field(default_factory=stderr_console)

    def for_run(self, run: Run) -> "Invocation":
        """The same with the settings that the run was made with, except where a flag says otherwise."""
        stored = Settings.model_validate_json(run.options).model_dump()
        merged = build_settings(RawSettings({**stored, **self.flags.values}, self.flags.origins))
        return replace(self, settings=merged)

    def open_ledger(self, *, create: bool = False) -> AbstractAsyncContextManager[Ledger]:
        """The ledger, for work: a server that is starting is waited for as the API is."""
        return open_ledger(self.ledger, create=create, patience=self.settings.give_up_after)

    def that_plans(self) -> "Invocation":
        """The same for a run that closes nothing."""
        return replace(self, settings=self.settings.model_copy(update={"closes": False}))


def read_invocation(context: click.Context) -> Invocation:
    """Gather and check. Raises ConfigurationError; nothing has been opened or sent by then."""
    parameters = context.params
    named = parameters.get("config")
    profile = parameters.get("profile")
    given = overlay(read_config(config_path(named), profile), context)
    settings = build_settings(given).model_copy(update={"profile": profile})
    check_reason(settings.reason, settings.api, allow_unknown=settings.allow_unknown_reason)
    export = parameters.get("export")
    if export is not None:
        format_of(export, None)
        if export != "-":
            check_place(export, "--export")
    console = stderr_console()
    configure_logging(parameters["verbosity"], given.values.get("log_format") or "console", ConsoleStream(console))
    return Invocation(
        settings=settings,
        flags=overlay(RawSettings(), context, flags_only=True),
        access=read_access(given, profile),
        ledger=check_address(given.values.get("ledger") or DEFAULT_LEDGER),
        as_json=parameters["as_json"],
        export=export,
        force=bool(parameters.get("force")),
        progress=parameters.get("progress"),
        yes=bool(parameters.get("yes")),
        listen=read_listen(context),
        alert_url=_address(given.values.get("alert_url")),
        console=console,
    )


def read_access(given: RawSettings, profile: str | None) -> Access:
    """The key, and the network of flags, file and environment. Raises ConfigurationError."""
    network = network_of(given.values, os.environ, given.origins)
    check_files(network)
    return Access(find_key(given.values, profile), network)


def _address(text: str | None) -> SecretStr | None:
    """A webhook's address, which is a secret. Raises ConfigurationError."""
    try:
        return None if text is None else SecretStr(read_address(text))
    except ValueError as error:
        raise ConfigurationError(f"--alert-url: {error}") from None


def read_listen(context: click.Context) -> Address | None:
    """Where to answer, if that was asked for. Raises ConfigurationError."""
    text = context.params.get("listen")
    return None if text is None else parse_address(text)


def read_ledger(context: click.Context) -> str:
    """The ledger of a command that only reads: flag, environment, configuration file, default."""
    given = overlay(read_config(config_path(None), None), context)
    return str(given.values.get("ledger") or DEFAULT_LEDGER)


def read_invocation_for(context: click.Context, name: str) -> Invocation:
    """Gather and check what was asked of the run ``name``. Raises ConfigurationError; nothing has been sent by then.

    The run goes on with the key of the profile that it was begun with, unless another one is named: that of any other
    organisation would be refused, or know none of its sessions.
    """
    path = config_path(context.params["config"])
    if context.params["profile"] is None and path is not None and "profiles" in read_toml(path)[1]:
        ledger = overlay(read_config(path, None), context).values.get("ledger") or DEFAULT_LEDGER
        context.params["profile"] = anyio.run(_profile_of, ledger, name)
    return read_invocation(context)


async def _profile_of(ledger: str, name: str) -> str | None:
    """The profile that a run was begun with."""
    async with open_ledger(ledger, patience=PATIENCE) as opened:
        return Settings.model_validate_json((await opened.find_run(name)).options).profile
