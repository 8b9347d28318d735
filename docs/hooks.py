"""What the documentation takes from the code: the pages of the reference, made anew with each build, and examples."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from closeout.jobs.cli import cli
from closeout.jobs.help.reference import pages

_TITLES = {
    "commands": "Commands",
    "settings": "Settings",
    "columns": "Columns",
    "outcomes": "Outcomes",
    "exit-codes": "Exit codes",
}
_BEFORE = {
    "settings": (
        "A flag wins over the environment, that over `closeout.toml`, that over the default.\n\n"
        "A duration is written like `90s`, `10m`, `24h` or `7d`, a rate like `40/s` or `600/min`, a share like `50%`. "
        "In `closeout.toml` these are in quotes, and a bare number is seconds, requests a second, or a fraction. "
        'A list is `["active", "paused"]` there, and `active,paused` in a flag or a variable. The key has neither a '
        "flag nor a line in the file: `CLOSEOUT_API_KEY` or `FEATHER_API_KEY`, a file, or the system's keyring.\n\n"
        "A table `[profiles.NAME]` holds such settings for `--profile NAME`. What a job, `[jobs.NAME]`, may hold "
        "is told with [sweeps](../sweeps.md)."
    ),
    "columns": "The columns of the ledger's view `results` and of every export, in this order.",
    "outcomes": "Every row ends in exactly one of these. Rows read = duplicates + the sum over the outcomes.",
}
_WIDE = {"settings": "---\nhide: [toc]\n---"}  # a table that takes the room of a table of contents


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the examples of `deploy/` as they are."""
    for name, body in pages(cli).items():
        text = "\n\n".join(
            part for part in (_WIDE.get(name, ""), f"# {_TITLES[name]}", _BEFORE.get(name, ""), body) if part
        )
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    for example in sorted((Path(config.docs_dir).parent / "deploy").iterdir()):
        text = example.read_text(encoding="utf-8")
        files.append(File.generated(config, f"deploy/{example.name}", content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """A link to an example is one within the repository, and here one within the site."""
    return markdown.replace("](../deploy/", "](deploy/")
