"""On which line a key stands, in whatever way TOML lets it be written."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeout.jobs.definitions.toml_position import line_of

FILE = '''# a comment with [jobs.nightly] in it
rate = "5/s"
text = """
[jobs.nightly]
reason = "not this one"
"""

[profiles.production]
base_url = "https://api.example.com"  # rate = 3
[jobs . "nightly"]

  # and another
  max-close = 5
protect = [
  "ringing", # ] "
  "queued",
]
ping.start = "https://a.example/="
[jobs.nightly.select]
status = ["active"]
[jobs.other]
select = {idle_for = "24h", expired = true}
reason = \'\'\'
abandoned\'\'\'
[[hooks]]
url = 1
[[hooks]]
other = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("rate", 2), ("text", 3), ("profiles", 8), ("profiles.production.base_url", 9), ("jobs", 10),
        ("jobs.nightly", 10), ("jobs.nightly.max_close", 13), ("jobs.nightly.max-close", 13),
        ("jobs.nightly.protect", 14), ("jobs.nightly.ping", 18), ("jobs.nightly.ping.start", 18),
        ("jobs.nightly.select", 19), ("jobs.nightly.select.status", 20), ("jobs.other", 21),
        ("jobs.other.select.expired", 22), ("jobs.other.reason", 23), ("hooks", 25), ("hooks.url", 26),
        ("hooks.other", 28), ("jobs.nightly.reason", None), ("jobs.third", None), ("rate.x", None),
        ("jobs.other.select.expired.x", None),
    ],
)  # fmt: skip
def test_a_key_is_found(path: str, line: int | None) -> None:
    """Where its statement begins; comments, texts and lists over several lines do not mislead."""
    tomllib.loads(FILE)
    assert line_of(FILE, path.split(".")) == line
    assert line_of(FILE.replace("\n", "\r\n"), path.split(".")) == line


values = st.sampled_from(["1", '"[a]"', '"""\na = 1\n[b]\n"""', "[\n1, # x\n2\n]", "{a = 1}", "2026-01-31", "'#'"])
tables = st.lists(st.lists(values, max_size=4), max_size=4)


@given(tables=tables, gap=st.sampled_from(["", "\n", "# a\n\n"]))
def test_each_key_of_a_file_is_found(tables: list[list[str]], gap: str) -> None:
    """Whatever stands around it."""
    text = ""
    expected: dict[tuple[str, ...], int] = {}
    for t, table in enumerate(tables):
        expected["jobs", f"j{t}"] = (text + gap).count("\n") + 1
        text += f"{gap}[jobs.j{t}]\n"
        for k, value in enumerate(table):
            expected["jobs", f"j{t}", f"k{k}"] = (text + gap).count("\n") + 1
            text += f"{gap}k{k} = {value}\n"
    tomllib.loads(text)
    assert {path: line_of(text, path) for path in expected} == expected
