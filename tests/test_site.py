"""The documentation is built as a site, without warnings, and needs no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html import unescape
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from playwright.sync_api import expect

from browser import open_page
from docsite.failure_modes import example_quoted
from halo_adapters.registry import adapter_class, adapter_names
from halo_engine.detectors import load_detectors
from halo_engine.failure_modes import CATALOGUE
from halo_integrations import public
from halo_integrations.cli.commands import commands
from halo_integrations.options.declaration import options_of
from halo_integrations.options.model import ModelSettings
from halo_integrations.options.privacy import PrivacySettings
from halo_integrations.options.run import RunSettings

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.xdist_group("site")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; the build fails for a warning."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder


class Loaded(HTMLParser):
    """The addresses that a page makes a browser load: all but those of links to follow."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the element refers to."""
        if tag != "a":
            named = {"src", "href", "srcset", "data", "poster", "action", "content"}
            self.addresses += [value or "" for name, value in attrs if name in named]


def text_of(page: Path) -> str:
    """The text of a page."""
    return unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_no_page_and_no_style_names_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= 15
    for page in pages:
        reader = Loaded()
        reader.feed(page.read_text(encoding="utf-8"))
        assert len(reader.addresses) >= 5
        assert [each for each in reader.addresses if urlsplit(each).netloc] == [], page.name
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)[^;)]*//", style.read_text(encoding="utf-8")) == []


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The address of a server of the site."""
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and prints nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.mark.browser
def test_reading_and_searching_it_asks_no_other_host(served: str, artifacts: Path) -> None:
    asked: list[str] = []
    with open_page() as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{served}/index.html")
        page.screenshot(path=artifacts / "docs-front-page.png")
        search = page.get_by_role("textbox", name="Search")
        search.click()
        search.press_sequentially("redact")
        expect(page.locator(".md-search-result__item").first).to_be_visible()
        page.goto(f"{served}/failure-modes.html")
    assert len(asked) >= 5
    assert [url for url in asked if not url.startswith(served) and urlsplit(url).netloc] == []


def leaves(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from leaves(found, *path, name)
        else:
            yield " ".join([*path, name]), found


def test_every_command_is_documented_with_every_option(site: Path) -> None:
    page = text_of(site / "commands.html")
    every = dict(leaves(commands))
    assert len(every) >= 15
    for name, command in every.items():
        begin = page.index(f"\nhalo-integrations {name} [OPTIONS]")
        end = page.find("\nhalo-integrations ", begin + 1)
        section = page[begin:end] + page[: page.index("halo-integrations run [OPTIONS]")]
        flags = {flag for p in command.get_params(click.Context(command)) for flag in p.opts}
        # click keeps the names of the option for help that a command was first called with
        options = {flag for flag in flags - {"-h"} if flag.startswith("-")}
        assert [flag for flag in options if not re.search(rf"(?<!\w){flag}\b", section)] == [], name


def test_every_setting_is_documented_with_its_variables(site: Path) -> None:
    page = text_of(site / "settings.html")
    general = [ModelSettings, RunSettings, PrivacySettings]
    for model in [*general, *(adapter_class(name).Settings for name in adapter_names())]:
        for spec in options_of(model):
            assert [name for name in (spec.name, *spec.env) if name not in page] == []


def test_every_detector_is_documented(site: Path) -> None:
    detectors = (site / "detectors.html").read_text(encoding="utf-8")
    assert [d.name for d in load_detectors() if f'id="{d.name}"' not in detectors] == []


def test_every_failure_mode_is_documented_with_an_example(site: Path) -> None:
    page = (site / "failure-modes.html").read_text(encoding="utf-8")
    sections = [re.split(r"<h[23]", page.partition(f'id="{m.slug}"')[2])[0] for m in CATALOGUE]
    examples = [section.count('<div class="admonition example">') for section in sections]
    assert dict(zip((m.slug for m in CATALOGUE), examples, strict=True)) == {
        mode.slug: 1 for mode in CATALOGUE
    }
    assert sum("A constructed trace" in section for section in sections) == 3


def test_an_example_must_be_in_one_trace_of_its_recording() -> None:
    quotes = ["Where is my order?", "It was shipped."]
    assert "It was shipped." in example_quoted("beeai", quotes, "An answer.")
    with pytest.raises(LookupError, match="no trace of beeai says all of"):
        example_quoted("beeai", ["It was shipped.", "slow down"], "Of two traces.")


def test_every_public_name_of_the_python_interface_is_documented(site: Path) -> None:
    page = text_of(site / "python.html")
    assert [name for name in public.__all__ if not re.search(rf"\b{name}\b", page)] == []
