"""The pages in the browser: what they show, what they do, and who may use them."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

import halo_integrations as halo
from browser import open_page
from halo_integrations.state.home import Runs
from halo_integrations.ui.guard import Guard
from synthetic import conversations
from ui_server import served_ui

# The home and its server are made once, by one worker.
pytestmark = pytest.mark.xdist_group("ui")

HOSTILE = "<script>document.title='taken'</script>"
PROJECT = f"http://127.0.0.1:6006, project shop {HOSTILE}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ui")
    for seed, every in ((1, 12), (2, 3)):
        path = folder / f"traces-{seed}.jsonl"
        rows = conversations(60, seed=seed, loop_every=every)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        halo.run(path, home=folder / "home", no_llm=True, issue_project=PROJECT)
    return folder / "home"


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[tuple[str, Guard]]:
    """The address of a server of its own, and its guard."""
    with served_ui(home) as served:
        yield served


@pytest.fixture
def client(server: tuple[str, Guard]) -> Iterator[httpx.Client]:
    """A browser that has opened the link."""
    address, guard = server
    with httpx.Client(base_url=address, follow_redirects=True, timeout=60) as found:
        assert found.get(f"/?token={guard.token}").status_code == 200
        yield found


def form_of(client: httpx.Client, path: str) -> str:
    text = client.get(path).text
    return text.split('name="form_token" value="')[1].split('"')[0]


def test_without_the_link_nothing_is_shown(server: tuple[str, Guard]) -> None:
    for path in ("/", "/issues", "/ui.css", "/runs/last/report", "/?token=wrong"):
        assert httpx.get(server[0] + path).status_code == 403


def test_the_token_leaves_the_address_with_the_first_page(server: tuple[str, Guard]) -> None:
    address, guard = server
    first = httpx.get(f"{address}/issues?token={guard.token}")
    assert (first.status_code, first.headers["Location"]) == (303, "/issues")
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_another_name_of_this_machine_is_refused(client: httpx.Client) -> None:
    assert client.get("/", headers={"Host": "rebound.example:80"}).status_code == 403


def test_a_form_needs_its_token_and_the_origin_of_this_server(client: httpx.Client) -> None:
    decision = {"decision": "muted", "reason": "known"}
    assert client.post("/issues/HALO-1", data=decision).status_code == 403
    token = {"form_token": form_of(client, "/issues/HALO-1")}
    headers = {"Origin": "https://elsewhere.example"}
    sent = client.post("/issues/HALO-1", data={**decision, **token}, headers=headers)
    assert sent.status_code == 403


def test_what_no_browser_sends_for_a_form_is_refused(
    client: httpx.Client, server: tuple[str, Guard]
) -> None:
    cookie = f"halo-{client.base_url.port}=".encode() + b"\xff\xfe"
    assert httpx.get(server[0], headers=[(b"Cookie", cookie)]).status_code == 403
    form = "application/x-www-form-urlencoded"
    for kind in ("multipart/form-data", f"{form}; charset=none", f"{form}; charset=utf-8"):
        sent = client.post("/issues/HALO-1", content=b"\xff", headers={"Content-Type": kind})
        assert sent.status_code == 403
    token = {"form_token": form_of(client, "/issues/HALO-1")}
    unclear = client.post("/issues/HALO-1", data=token)
    assert (unclear.status_code, "Choose what to do" in unclear.text) == (400, True)


def test_pages_may_load_nothing_and_are_kept_nowhere(client: httpx.Client) -> None:
    headers = client.get("/").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_a_report_is_of_no_site(client: httpx.Client) -> None:
    """Its file may have been copied from somebody else, with other scripts than ours."""
    policy = client.get("/runs/last/report").headers["Content-Security-Policy"]
    assert "sandbox allow-scripts" in policy
    assert "allow-same-origin" not in policy


def test_mistakes_are_told_on_a_page(client: httpx.Client) -> None:
    for path, text in (
        ("/issues/HALO-99", "There is no issue"),
        ("/runs/nothing", "There is no run"),
        ("/compare?base=last&head=last", "nothing to compare"),
    ):
        answer = client.get(path)
        assert answer.status_code == 400
        assert text in answer.text


def test_the_name_of_a_project_is_shown_as_it_is_given_to_commands(client: httpx.Client) -> None:
    for path in ("/", "/issues/HALO-1"):
        assert html.escape(PROJECT) in client.get(path).text.replace("&#39;", "&#x27;")


def test_sides_that_cannot_be_compared_are_told_beside_the_form_and_as_text(
    client: httpx.Client,
) -> None:
    answer = client.get("/compare", params={"base": f"{HOSTILE}=1", "head": "last"})
    assert answer.status_code == 400
    assert 'name="head" value="last"' in answer.text
    assert HOSTILE not in answer.text
    assert "<code>release=1.4</code>" in answer.text


def test_a_file_takes_no_annotations(client: httpx.Client) -> None:
    assert "Annotate the platform" not in client.get("/runs/last").text
    assert client.get("/runs/last/annotate").status_code == 400


@pytest.mark.browser
def test_one_gets_from_the_projects_to_a_decision(server: tuple[str, Guard], home: Path) -> None:
    address, guard = server
    problems: list[str] = []
    with open_page() as page:
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{address}/?token={guard.token}")
        assert page.title() == "Projects and runs"
        page.get_by_role("link", name="shop").first.click()
        page.get_by_role("row", name="again and again").get_by_role("link").click()
        assert "worse" in page.locator("h1").inner_text()
        assert page.get_by_role("form", name="Reopen").count() == 0  # nothing was decided yet
        mute = page.get_by_role("form", name="Mute")
        mute.get_by_label("Why").fill("known")
        mute.get_by_label("Until").fill("14d")
        mute.get_by_role("button").click()
        assert "muted" in page.locator("h1").inner_text()
        # Enter in a field decides what stands beside it.
        page.get_by_role("form", name="Accept").get_by_label("Why").fill("agreed")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_contain_text("accepted")
        page.get_by_role("button", name="Reopen").click()
        page.get_by_role("link", name="Compare").click()
        runs = runs_in(home)
        page.get_by_label("Base").fill(runs[0])
        page.get_by_label("Head").fill(runs[1])
        page.get_by_role("button", name="Compare").click()
        assert "1 worse" in page.locator("main").inner_text()
        page.goto(f"{address}/runs/{runs[1]}/report")
        assert "look_up" in page.locator("body").inner_text()
        assert page.evaluate("origin") == "null"  # scripts of a report are of no site
    assert problems == []


@pytest.mark.browser
def test_a_phone_shows_pages_and_tables_without_moving_sideways(
    server: tuple[str, Guard], home: Path
) -> None:
    address, guard = server
    base, head = runs_in(home)
    compared = f"/compare?base={base}&head={head}"
    cut = (
        "[...document.querySelectorAll('table')].filter(t => t.scrollWidth > t.clientWidth).length"
    )
    with open_page() as page:
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto(f"{address}/?token={guard.token}")
        for path in ("/", "/issues?all=", "/issues/HALO-1", compared, "/runs/last"):
            page.goto(address + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert page.evaluate(cut) == 0, path


def runs_in(home: Path) -> list[str]:
    """The ids of the runs, the oldest first."""
    return [run.id for run in reversed(Runs(home).all())]


def test_pages_that_need_one_store_can_be_opened_at_once(client: httpx.Client, home: Path) -> None:
    base, head = runs_in(home)
    path = f"/compare?base={base}&head={head}"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(client.get, [path, path, "/runs/last", "/issues"]))
    assert [answer.status_code for answer in answers] == [200] * 4
