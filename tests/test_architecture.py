"""The rules that keep the code readable: who may import whom, and how long a file or a function may be."""

import ast
import graphlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
GROUND = ("worker.support", "worker.domain", "worker.config")  # every room but the sandbox rests on these
# The rooms, from the ground up: what each may import of ours besides itself and the ground.
ROOMS = {
    "worker.support": set[str](),
    "worker.domain": {"worker.support"},
    "worker.config": {"worker.support", "worker.domain"},
    "worker.api": set[str](),
    "worker.sources": set[str](),
    "worker.pace": set[str](),
    "worker.policy": set[str](),
    "worker.ledger": {"worker.pace"},
    "worker.queues": {"worker.ledger.stores", "worker.sources.session_ids"},
    "worker.runtime": {"worker.api", "worker.pace", "worker.policy", "worker.ledger"},
    "worker.lookup": {"worker.api", "worker.pace", "worker.policy", "worker.runtime"},
    "worker.export": {"worker.ledger", "worker.runtime"},
    "worker.report": {"worker.pace", "worker.policy", "worker.ledger", "worker.runtime"},
    "worker.monitoring": {"worker.queues", "worker.runtime"},
    "worker.feeds": {"worker.lookup", "worker.policy", "worker.queues", "worker.runtime", "worker.sources"},
    "worker.stages": {"worker.api", "worker.lookup", "worker.pace", "worker.policy", "worker.runtime"},
    "worker.engine": {
        "worker.api", "worker.feeds", "worker.ledger", "worker.lookup", "worker.pace", "worker.policy",
        "worker.runtime", "worker.sources", "worker.stages",
    },
    "worker.web": {"worker.engine", "worker.ledger", "worker.pace", "worker.report"},
    "worker.library": {
        "worker.engine", "worker.export", "worker.feeds", "worker.ledger", "worker.report", "worker.runtime",
        "worker.sources",
    },
    "worker.sandbox": set[str](),
    "jobs.config": {"worker"},
    "jobs.definitions": {"jobs.config", "worker"},
    "jobs.manifests": {"jobs.definitions", "worker"},
    "jobs.scheduling": {"jobs.config", "jobs.definitions", "worker"},
    "jobs.runner": {"jobs.config", "jobs.definitions", "worker"},
    "jobs.help": {"jobs.config", "worker"},
    "jobs.completion": {"worker"},
    "jobs.diagnosis": {"worker"},
    "jobs.commands": {
        "jobs.config", "jobs.definitions", "jobs.diagnosis", "jobs.manifests", "jobs.runner", "jobs.scheduling",
        "worker",
    },
    "jobs.cli": {"jobs.completion", "jobs.help", "worker"},
}  # fmt: skip
# Where a foreign package may be known; everywhere else it would leak.
KNOWN_BY = {
    "httpx": {"jobs.runner.notify", "worker.api"},
    "aiohttp": {"worker.api", "worker.monitoring", "worker.sandbox", "worker.web"},
    "prometheus_client": {"worker.monitoring.prometheus"},
    "yarl": {"worker.api"},
    "apsw": {"worker.ledger"},
    "psycopg": {"worker.ledger.postgres"},
    "psycopg_pool": {"worker.ledger.postgres"},
    "sqlite3": set[str](),
    "aiolimiter": {"worker.pace.limiter"},
    "pydantic": {"worker.api", "worker.config.settings", "worker.policy.selection", "jobs"},
    "zstandard": {"worker.export.writers", "worker.sources"},
    "fcntl": {"worker.ledger.sqlite"},
    "aio_pika": {"worker.queues.amqp", "worker.queues.amqp_connection"},
    "aiormq": {"worker.queues.amqp_connection"},
    "pamqp": {"worker.queues.amqp", "worker.queues.amqp_connection"},
    "aiobotocore": {"worker.queues.sqs_client"},
    "botocore": {"worker.queues.sqs", "worker.queues.sqs_client"},
    "redis": {"worker.queues.redis_errors", "worker.queues.redis_streams"},
    "cronsim": {"jobs.definitions.cron"},
    "tomllib": {"jobs.completion.candidates", "jobs.config.file", "jobs.definitions.toml_position"},
    "click": {"jobs"},
    "jinja2": {"worker.report.rendering"},
    "markupsafe": {"worker.report.rendering"},
    "rich": {"worker.report", "worker.support.log", "jobs"},
}


@dataclass(frozen=True)
class Module:
    """One file of the product."""

    name: str
    path: Path

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.path)

    def imports(self) -> set[str]:
        """All that it imports, also within functions, by the dotted name of the module: ours without ``closeout.``."""
        return {name.removeprefix("closeout.") for node in ast.walk(self.tree) for name in _imported(node)}


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute here"
        module = node.module or ""
        yield module
        yield from (
            f"{module}.{alias.name}"
            for alias in node.names
            if f"{module}.{alias.name}".removeprefix("closeout.") in NAMES
        )


def _name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PRODUCT = [Module(_name_of(path), path) for top in ("worker", "jobs") for path in sorted((ROOT / top).rglob("*.py"))]
NAMES = {module.name for module in PRODUCT}
FACE = sorted((ROOT / "src" / "closeout").glob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def within(name: str, package: str) -> bool:
    """Whether a module is this package or lies in it."""
    return name == package or name.startswith(package + ".")


def ours(module: Module) -> set[str]:
    """What it imports of the product."""
    return {name for name in module.imports() if within(name, "worker") or within(name, "jobs")}


def named(modules: list[Module]) -> pytest.MarkDecorator:
    """One test for each module."""
    return pytest.mark.parametrize("module", modules, ids=lambda module: module.name)


@named([module for module in PRODUCT if within(module.name, "worker")])
def test_the_engine_does_not_know_what_it_is_used_for(module: Module) -> None:
    """``worker`` never imports ``jobs``."""
    assert not [name for name in module.imports() if within(name, "jobs")]


def test_every_file_lies_in_a_room() -> None:
    """A renamed room would otherwise escape its rule."""
    packages = {"worker", "jobs"}
    assert {name for name in NAMES - packages if not _room_of(name)} == set()
    assert set(ROOMS) <= NAMES


def _room_of(name: str) -> str | None:
    return next((room for room in ROOMS if within(name, room)), None)


@named([module for module in PRODUCT if _room_of(module.name)])
def test_a_room_knows_only_those_below_it(module: Module) -> None:
    """The API client knows nothing of the ledger, sources nothing of either; the sandbox shares no code at all."""
    room = _room_of(module.name) or ""
    ground = set() if room in {"worker.sandbox", *GROUND} else set(GROUND)
    allowed = {room} | ROOMS[room] | ground
    assert not {name for name in ours(module) if not any(within(name, one) for one in allowed)}


@named(PRODUCT)
def test_foreign_packages_are_known_where_they_belong(module: Module) -> None:
    """HTTP in the API client alone, SQL in the ledger alone."""
    for name in module.imports():
        homes = KNOWN_BY.get(name.split(".")[0])
        if homes is not None:
            assert any(within(module.name, home) for home in homes), f"{module.name} imports {name}"


def test_imports_make_no_circle() -> None:
    """They point downwards, so there is an order in which each module comes after those it imports."""
    graph = {module.name: {name for name in ours(module) if name in NAMES} - {module.name} for module in PRODUCT}
    graph = {name: {one for one in found if not within(name, one)} for name, found in graph.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert set(order) == NAMES
    assert order.index("worker.domain.item") < order.index("worker.policy.verdict") < order.index("worker.engine.run")


def test_a_command_imports_no_other() -> None:
    """The list of commands loads them by name. ``schedule`` starts sweeps, and reads what these are asked for."""
    for module in [module for module in PRODUCT if within(module.name, "jobs.commands")]:
        others = {name for name in ours(module) if within(name, "jobs.commands")} - {module.name, "jobs.commands"}
        assert others <= ({"jobs.commands.sweep"} if module.name == "jobs.commands.schedule" else set()), module.name


@pytest.mark.parametrize(
    "path", [*(module.path for module in PRODUCT), *TESTS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_files_are_short(path: Path) -> None:
    """A reader takes one in at a time."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@named(PRODUCT)
def test_functions_are_short(module: Module) -> None:
    """From the first line of the signature to the last of the body."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{module.name}.{node.name} has {length} lines"


@named(PRODUCT)
def test_what_is_public_says_what_it_is(module: Module) -> None:
    """Modules, classes and functions have a docstring; see ``_exempt`` for those that need none."""
    assert _is_empty(module) or ast.get_docstring(module.tree), f"{module.name} has no docstring"
    undocumented = [name for name, node in _public(module.tree) if not ast.get_docstring(node)]
    assert undocumented == []


def _is_empty(module: Module) -> bool:
    return not module.tree.body


Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _public(tree: ast.Module) -> Iterator[tuple[str, Documented]]:
    """Public classes and functions of a module, and of classes the methods that are not exempt."""
    for node in tree.body:
        if not isinstance(node, Documented) or node.name.startswith("_") or _says_it_all(node):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef) and ast.get_docstring(node):
            methods = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            yield from ((f"{node.name}.{one.name}", one) for one in methods if not _exempt(node, one))


def _says_it_all(node: Documented) -> bool:
    """A function of three lines or less, such as the sandbox's ``email``: it is read sooner than a docstring."""
    return not isinstance(node, ast.ClassDef) and (node.end_lineno or node.lineno) - node.lineno < 3


def _exempt(_: ast.ClassDef, method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Methods that say nothing new: short ones, whose name and the class's docstring tell all, and those of Python.

    A method of more than 12 lines has something to explain.
    """
    length = (method.end_lineno or method.lineno) - method.lineno + 1
    return method.name.startswith("_") or length <= 12


def test_nothing_goes_by_another_name() -> None:
    """``worker`` is ``closeout.worker``, ``jobs`` is ``closeout.jobs``: users may have packages of these names."""
    for path in [*(module.path for module in PRODUCT), *FACE, *TESTS]:
        for node in ast.walk(_parsed(path)):
            assert not [name for name in _imported(node) if within(name, "worker") or within(name, "jobs")], path
