"""What the documentation takes from the code: the pages of the reference, made anew with each build."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from jobs.cli import cli
from jobs.reference import pages

_TITLES = {
    "commands": "Commands",
    "settings": "Settings",
    "columns": "Columns",
    "outcomes": "Outcomes",
    "exit-codes": "Exit codes",
}
_BEFORE = {
    "settings": "A flag wins over the environment, that over `closeout.toml`, that over the default.",
    "columns": "The columns of the ledger's view `results` and of every export, in this order.",
    "outcomes": "Every row ends in exactly one of these. Rows read = duplicates + the sum over the outcomes.",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, body in pages(cli).items():
        text = "\n\n".join(part for part in (f"# {_TITLES[name]}", _BEFORE.get(name, ""), body) if part)
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files
