"""The HTML report in a browser: filter, keys, print, dark, a phone, and no request but the file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browser import open_browser
from halo_engine.findings import IssueMark, IssueState, Report, Severity
from halo_engine.report.html import render_html
from halo_engine.report.renderer import RunInfo
from large_reports import large_report
from sample_reports import affected, finding, link

# The reports and the browser are made once, by one worker.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("report page")]
PHONE = {"width": 390, "height": 844}
LONG = "unbroken" * 60


def info(context=None) -> RunInfo:
    """A run that was read from a platform."""
    return RunInfo(
        "20260131-020500-3f9c", link, "phoenix shop", datetime(2026, 2, 2, 6, tzinfo=UTC), context
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The addresses of reports: with 20 and with 200 findings, and with texts of any kind."""
    folder = tmp_path_factory.mktemp("pages")
    reports = {
        "few": large_report(20, 400),
        "many": large_report(200, 10_000),
        "hostile": (hostile(), None),
    }
    for name, (report, context) in reports.items():
        (folder / f"{name}.html").write_bytes(render_html(report, info(context)))
    return {name: (folder / f"{name}.html").as_uri() for name in reports}


def hostile() -> Report:
    """Findings of texts that are long, without a space, or in both directions."""
    texts = (LONG, "<b>" * 100, "مرحبا \u202e abc", "a\n" * 300)
    parts = [
        finding(
            affected(quote=text, reason=text, field=LONG),
            id=LONG,
            title=text,
            tool=LONG,
            group_title="g",
            issue=IssueMark(id="HALO-12345", state=IssueState.REGRESSED),
        )
        for text in texts
    ]
    return Report(findings=(*parts, *(finding(title=text) for text in texts)), traces=50, spans=9)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests, each with a page of its own."""
    with open_browser() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page; what it says on its console, and what it asks for, must be nothing."""
    said: list[str] = []
    asked: list[str] = []
    shown = browser.new_page(viewport={"width": 1280, "height": 900})
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    yield shown
    addresses = {url.partition("#")[0] for url in asked}
    shown.close()
    assert said == []
    assert all(url.startswith("file://") for url in addresses)
    assert len(addresses) <= 1


def findings(page: Page, selector: str = ""):
    """The findings that are shown."""
    return page.locator(f".mode .finding{selector}:visible")


def test_the_search_leaves_what_holds_every_word_and_escape_shows_all_again(
    page: Page, pages: dict[str, str]
) -> None:
    page.goto(pages["few"])
    expect(findings(page)).to_have_count(20)
    page.keyboard.press("/")
    page.keyboard.type("Update_Address acknowledged")
    for each in findings(page).all():
        assert "update_address" in (each.text_content() or "")
    shown = findings(page).count()
    assert 0 < shown < 20
    expect(page.locator("#count")).to_have_text(f"{shown} of 20 findings")
    expect(page.locator("tr[data-finding]:visible")).to_have_count(shown)
    page.keyboard.press("Escape")
    expect(findings(page)).to_have_count(20)


def test_a_search_without_a_match_says_so_and_can_be_cleared(
    page: Page, pages: dict[str, str]
) -> None:
    page.goto(pages["few"])
    page.get_by_label("Search").fill("no such word anywhere")
    expect(findings(page)).to_have_count(0)
    page.get_by_role("button", name="Clear the filter").click()
    expect(findings(page)).to_have_count(20)


def test_a_quote_and_a_trace_id_can_be_searched_for_though_the_finding_is_closed(
    page: Page, pages: dict[str, str]
) -> None:
    report, _ = large_report(200, 10_000)
    wanted = report.groups[7].affected[1].trace_id
    page.goto(pages["many"])
    page.get_by_label("Search").fill(wanted)
    assert 1 <= findings(page).count() < 20
    assert "8." in [t.split()[0] for t in findings(page).locator("h3").all_text_contents()]


def test_findings_are_filtered_by_severity_and_by_state_with_the_keyboard(
    page: Page, pages: dict[str, str]
) -> None:
    page.goto(pages["few"])
    page.get_by_label("critical").focus()
    page.keyboard.press("Space")
    expect(findings(page, ":not([data-severity=critical])")).to_have_count(0)
    severe = findings(page).count()
    page.get_by_label("high").check(force=True)
    assert findings(page).count() > severe, "two severities are either of them"
    page.get_by_label("muted").check(force=True)
    expect(findings(page, ':not([data-states*="muted"])')).to_have_count(0)


def test_j_and_k_go_from_finding_to_finding_and_enter_opens_one(
    page: Page, pages: dict[str, str]
) -> None:
    page.goto(pages["many"])
    focused = page.locator("summary:focus h3")
    titles = page.locator(".mode .finding h3").all_text_contents()
    page.keyboard.press("j")
    expect(focused).to_have_text(titles[0])
    page.keyboard.press("j")
    expect(focused).to_have_text(titles[1])
    page.keyboard.press("k")
    expect(focused).to_have_text(titles[0])
    page.keyboard.press("Enter")
    expect(page.locator(".mode .finding[open]")).to_have_count(1)
    expect(page.locator(".mode .finding[open] mark").first).to_be_visible()


def test_keys_are_letters_where_one_types(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["few"])
    page.get_by_label("Search").press_sequentially("j/k")
    expect(page.get_by_label("Search")).to_have_value("j/k")


def test_all_can_be_opened_and_closed(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["many"])
    expect(findings(page, "[open]")).to_have_count(0)
    page.get_by_role("button", name="Open all").click()
    expect(findings(page, "[open]")).to_have_count(200)
    page.get_by_role("button", name="Close all").click()
    expect(findings(page, "[open]")).to_have_count(0)


@pytest.mark.parametrize("runs_scripts", [True, False])
def test_a_link_of_the_summary_opens_its_finding(
    browser: Browser, pages: dict[str, str], runs_scripts: bool
) -> None:
    context = browser.new_context(java_script_enabled=runs_scripts)
    page = context.new_page()
    page.goto(pages["many"])
    page.locator('a[href="#finding-9"]').click()
    expect(page.locator("#finding-9 mark").first).to_be_visible()
    expect(page.locator("#finding-9")).to_be_in_viewport()
    context.close()


def test_without_scripts_everything_is_there_but_the_filter(
    browser: Browser, pages: dict[str, str]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["few"])
    expect(findings(page)).to_have_count(20)
    expect(page.get_by_role("search")).to_be_hidden()
    expect(page.locator(".finding[open] mark").first).to_be_visible()
    context.close()


def test_muted_findings_are_closed_at_first(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["few"])
    expect(findings(page, ".quiet")).not_to_have_count(0)
    expect(findings(page, ".quiet[open]")).to_have_count(0)


def luminance(page: Page, selector: str, style: str) -> float:
    """How bright a colour is: 0 to 255."""
    colour = page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{style}")
    numbers = colour.partition("(")[2].rstrip(")").split(",")[:3]
    return sum(map(float, numbers)) / 3


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_colours_are_those_that_the_reader_prefers(
    page: Page, pages: dict[str, str], name: str, artifacts: Path
) -> None:
    page.emulate_media(color_scheme=name)  # type: ignore[arg-type]
    page.goto(pages["few"])
    back, text = luminance(page, "body", "backgroundColor"), luminance(page, "body", "color")
    assert (back < 50 < 180 < text) if name == "dark" else (text < 50 < 200 < back)
    bar = luminance(page, ".timeline .series + .series rect", "fill")
    assert abs(bar - back) > 60, "the chart can be seen"
    page.screenshot(path=artifacts / f"report-{name}.png")


@pytest.mark.parametrize("name", ["few", "many", "hostile"])
def test_a_phone_shows_every_report_without_scrolling_sideways(
    page: Page, pages: dict[str, str], name: str, artifacts: Path
) -> None:
    page.set_viewport_size(PHONE)
    page.goto(pages[name])
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.screenshot(path=artifacts / f"report-phone-{name}.png")


def test_what_is_closed_is_printed_but_no_lists_of_ids(
    page: Page, pages: dict[str, str], tmp_path: Path
) -> None:
    page.goto(pages["many"])
    closed = page.locator(".mode .finding:not([open]) mark").first
    expect(closed).to_be_hidden()
    page.emulate_media(media="print")
    expect(closed).to_be_visible()
    expect(page.get_by_role("search")).to_be_hidden()
    expect(page.locator(".ids").first).to_be_hidden()


def test_ink_is_dark_on_paper_though_the_reader_prefers_dark(
    page: Page, pages: dict[str, str]
) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(pages["few"])
    for part in ("body", ".finding", ".note"):
        assert luminance(page, part, "backgroundColor") > 200
        assert luminance(page, part, "color") < 60


def test_a_report_can_be_printed_as_a_file(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["few"])
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_long_report_opens_at_once(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["many"])
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert ready < 3000
    expect(findings(page)).to_have_count(200)


def test_every_severity_has_a_chip(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["many"])
    for severity in Severity:
        expect(page.get_by_label(severity.value)).to_have_count(1)
