"""Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from external_tools import chromium_path

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEW = {"width": 1900, "height": 900}


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A fresh browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def open_page() -> Iterator[Page]:
    """An empty page in a fresh browser."""
    with open_browser() as browser:
        yield browser.new_page(viewport=VIEW)


def show_annotations(page: Page, base_url: str, span_id: str) -> None:
    """Open the span in the UI of Phoenix, with its annotations as a table of whole texts."""
    page.goto(f"{base_url}/redirects/spans/{span_id}")
    page.get_by_role("button", name="Annotations", exact=True).last.click()
    page.get_by_role("radio", name="Table").last.click()
    page.get_by_role("button", name="Wrap each row over as many lines as it needs").last.click()
