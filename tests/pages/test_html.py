"""The report as HTML, without a browser: self-contained, whole, and nothing but text where text belongs."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from closeout.worker.domain.item import Outcome
from closeout.worker.report.html import html_comparison, html_report
from closeout.worker.report.markdown import markdown_comparison, markdown_report
from closeout.worker.report.rendering import asset, policy
from closeout.worker.report.run_report import RunReport
from tests.ledger.support import NOW
from tests.pages.nights import SESSIONS


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text of scripts and style sheets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.code: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.code.append(data)
            self.found.append(("#end", {}))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def assert_only_ours(page: str) -> None:
    """Nothing is loaded, nothing but our script and style is there, and no element acts by an attribute."""
    elements = Elements(page)
    assert [code.strip() for code in elements.code] == [asset("page.css").strip(), asset("page.js").strip()]
    assert len(elements.all("script")) == len(elements.all("style")) == 1
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"img", "iframe", "link", "object", "embed", "form", "base", "use", "image"}
    for tag, attributes in elements.found:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "style", "srcset")}, tag
        assert re.match(r"#\w+$", attributes.get("href") or "#x"), attributes
    (declared,) = [one for one in elements.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert declared["content"] == policy(style=asset("page.css"), script=asset("page.js"))
    assert "default-src 'none'" in (declared["content"] or "")
    assert "unsafe" not in (declared["content"] or "")


def test_whatever_comes_from_outside_stays_text(page_file: Path, story: RunReport) -> None:
    """Ids, statuses, verdicts, reasons, errors, details, the source's name, who asked: in both kinds of pages."""
    page = page_file.read_text(encoding="utf-8")
    for each in (page, "".join(html_comparison(story, story, NOW))):
        assert_only_ours(each)
        assert "&lt;script&gt;document.title" in each
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", each)
    assert "{{ 7*7 }}" in page
    assert "sk-" not in page


def test_a_report_of_a_short_run_holds_every_row(page_file: Path, story: RunReport) -> None:
    """And all of its figures as text: it is to be read without JavaScript, too."""
    page = page_file.read_text(encoding="utf-8")
    assert page.count('<tr data-outcome="') == SESSIONS + 5
    assert story.complete
    for told in ("All sessions", "ab" * 32, "protected: waiting_for_human", "of 65 sessions"):
        assert told in page
    assert "Which rate was allowed when was not recorded" not in page


def test_a_report_of_a_long_run_says_what_it_leaves_out(story: RunReport) -> None:
    """And where the rest is."""
    page = "".join(html_report(replace(story, complete=False, rows=story.rows[:7]), NOW))
    assert "too long to show whole" in page
    assert "These are the 7 that need a look" in page
    assert f"closeout export {story.run.name}" in page


def test_a_run_without_anything_has_a_report(story: RunReport) -> None:
    """Nothing sent, nothing read: no chart, no table, no error."""
    run = replace(story.run, rows_read=0, seconds=0.0, ended_at=None, why=None, state="running", made_by=None)
    bare = RunReport(
        run=run, settings=story.settings, counts=replace(story.counts, outcomes={}, eval_status={}), width=1_000
    )
    page = "".join(html_report(bare, NOW))
    assert "Over time" not in page
    assert "<svg" in page
    assert "not known" in page


def test_a_plan_says_what_closing_would_do(story: RunReport) -> None:
    """In both kinds: it is there to be approved by somebody."""
    run = replace(story.run, state="planned", why=None)
    counts = replace(story.counts, outcomes={Outcome.PENDING: 65})
    plan = replace(story, run=run, counts=counts, plan=(("side effects", "cannot be undone", ""),))
    for told in ("".join(html_report(plan, NOW)), markdown_report(plan)):
        assert "A plan of 65 sessions: 65 would be closed." in told
        assert "cannot be undone" in told
        assert "of 65 sessions are closed" not in told


def test_markdown_of_an_eventful_run_obeys_nothing(story: RunReport) -> None:
    """Each line is a line of ours, and what came from outside is escaped or between backticks."""
    for told in (markdown_report(story), markdown_comparison(story, story)):
        for line in told.splitlines():
            bare = re.sub(r"`[^`]*`", "", line).replace("**", "")
            assert not re.search(r"(?<!\\)[<@`\[]", bare), line
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", told)
