"""The report in a real browser: quiet, alone, searchable, sortable, by keyboard, in the dark, for everyone."""

from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.ledger.support import session_id
from tests.pages.browser import axe_violations, visit
from tests.pages.nights import SESSIONS

ALL = SESSIONS + 5


def shown_lines(page: Page) -> list[str]:
    """What stands in the first column of the rows that are shown."""
    return page.locator("#rows tbody tr:visible td:first-child").all_inner_texts()


def test_it_asks_for_nothing_and_complains_of_nothing(browser: Browser, page_file: Path) -> None:
    """Its own script works under its own policy; what came from outside has not run."""
    with visit(browser, page_file.as_uri()) as seen:
        assert seen.page.locator("#shown").inner_text() == f"{ALL} rows"
        assert seen.page.title().endswith("closeout")
        assert seen.asked == [page_file.as_uri()]
        assert seen.complaints == []


def test_rows_are_searched_and_sorted_by_keyboard_alone(browser: Browser, page_file: Path) -> None:
    """Each header is a button that says how it sorts; numbers sort as numbers, and back again."""
    with visit(browser, page_file.as_uri()) as seen:
        page = seen.page
        page.locator("#search").focus()
        page.keyboard.type(f"{session_id(7)[-6:]} skipped")
        assert shown_lines(page) == ["9"]
        assert page.locator("#shown").inner_text() == f"1 of {ALL} rows"
        page.locator("#search").fill("")
        page.locator("#outcome").select_option("failed")
        assert shown_lines(page) == ["5", "17", "29", "41", "53"]
        page.keyboard.press("Tab")
        while page.evaluate("document.activeElement.textContent") != "line":
            page.keyboard.press("Tab")
        header = page.locator("#rows th").first
        page.keyboard.press("Enter")
        assert header.get_attribute("aria-sort") == "ascending"
        page.keyboard.press("Space")
        assert header.get_attribute("aria-sort") == "descending"
        assert shown_lines(page) == ["53", "41", "29", "17", "5"]
        page.locator("#rows th button", has_text="session").click()
        assert header.get_attribute("aria-sort") is None


def test_everyone_can_read_it(browser: Browser, page_file: Path) -> None:
    """axe-core finds nothing: labels, headings, tables, contrast, that in the dark as well."""
    with visit(browser, page_file.as_uri()) as seen:
        for summary in seen.page.locator("details > summary").all():
            summary.click()
        assert axe_violations(seen.page) == []
        seen.page.emulate_media(color_scheme="dark")
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert axe_violations(seen.page, "color-contrast") == []


def test_nothing_sticks_out_of_a_telephone(browser: Browser, page_file: Path) -> None:
    """Wide tables scroll within themselves."""
    with visit(browser, page_file.as_uri(), viewport={"width": 390, "height": 800}) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_javascript_and_on_paper_all_is_there(browser: Browser, page_file: Path) -> None:
    """The table stands as it is; on paper it is not cut to a window, and tools are left out."""
    with visit(browser, page_file.as_uri(), java_script_enabled=False) as seen:
        assert seen.page.locator("#rows tbody tr:visible").count() == ALL
        assert not seen.page.locator("#search").is_visible()
    with visit(browser, page_file.as_uri(), color_scheme="dark") as seen:
        seen.page.emulate_media(media="print")
        assert not seen.page.locator("#search").is_visible()
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert seen.page.evaluate("getComputedStyle(document.querySelector('.rows')).maxHeight") == "none"
