"""``closeout completion SHELL``: the script that makes a shell complete."""

import click
from click.shell_completion import get_completion_class

_INSTALL = {
    "bash": '# For bash 4.4 or later: put  eval "$(closeout completion bash)"  in ~/.bashrc',
    "zsh": '# For zsh: put  eval "$(closeout completion zsh)"  in ~/.zshrc, below compinit',
    "fish": "# For fish: closeout completion fish > ~/.config/fish/completions/closeout.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_INSTALL)))
@click.pass_context
def command(context: click.Context, shell: str) -> int:
    """Print the script that makes SHELL complete commands, options, runs, jobs, outcomes, statuses and reasons.

    Completion reads the ledger and closeout.toml, and changes neither.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"this version of click knows no {shell}", context)
    click.echo(_INSTALL[shell])
    click.echo(found(context.find_root().command, {}, "closeout", "_CLOSEOUT_COMPLETE").source())
    return 0
