"""The page of an anomaly in a real browser: hovering, the keyboard, jumping, nothing asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect, sync_playwright

pytestmark = pytest.mark.browser

AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")
CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
QUIET = ["--disable-quic", "--disable-background-networking", "--disable-sync"]
S = 1_000_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of a stale read, after 200 operations that were as they should be."""
    folder = tmp_path_factory.mktemp("page")
    lines = []

    def event(kind: str, process: int, f: str, value: object, ms: int) -> None:
        lines.append(
            f"{{:process {process}, :type :{kind}, :f :{f}, :value {value}, :time {ms * S}}}"
        )

    for number in range(200):
        event("invoke", 1, "write", number + 1, 10 * number)
        event("ok", 1, "write", number + 1, 10 * number + 5)
    event("invoke", 2, "read", "nil", 2100)
    event("ok", 2, "read", 199, 2110)
    (folder / "late.edn").write_text("\n".join(lines))
    subprocess.run([AFTERSHOCK, "show", "late.edn", "--html", "p.html"], cwd=folder, check=True)
    return (folder / "p.html").as_uri()


@pytest.fixture(scope="module", params=["light", "dark"])
def context(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")),
            executable_path=shutil.which("chromium"),
            args=[*CHROMIUM, *QUIET],
            viewport={"width": 1200, "height": 900},
            color_scheme=request.param,
        )
        yield opened
        opened.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    """The page; it must not complain, nor ask for anything else."""
    opened = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url.partition("#")[0]))
    opened.goto(address)
    yield opened
    assert said == []
    assert asked == [address]
    opened.close()


def told(page: Page, name: str) -> Locator:
    """What the panel says of an operation."""
    return page.locator("#detail div").filter(has_text=name).locator("dd")


def test_hovering_tells_times_and_states(page: Page) -> None:
    page.locator("#op-3").hover()
    expect(told(page, "operation")).to_have_text("write 4 (row 3)")
    expect(told(page, "began")).to_have_text("0.030000000 s")
    expect(told(page, "ended")).to_have_text("0.035000000 s")
    expect(told(page, "state before")).to_have_text("3")
    expect(told(page, "state after")).to_have_text("4")


def test_the_button_and_the_key_jump_to_what_is_impossible(page: Page) -> None:
    impossible = page.locator("#op-200")
    expect(impossible).not_to_be_in_viewport()
    page.get_by_role("link", name="Jump to the first impossible operation").click()
    expect(impossible).to_be_in_viewport()
    expect(impossible).to_be_focused()
    expect(told(page, "operation")).to_contain_text("the first answer that leaves no order")
    expect(told(page, "state before")).to_have_text("200")
    page.keyboard.press("Home")
    expect(impossible).not_to_be_in_viewport()
    expect(page.locator("#op-0")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail")).to_contain_text("write 2 (row 1)")
    page.keyboard.press("j")
    expect(impossible).to_be_focused()
    expect(impossible).to_be_in_viewport()


def test_the_keyboard_reaches_the_lanes(page: Page) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#op-200")).to_be_focused()
    expect(page.locator("#detail")).to_contain_text("read 199")


def test_it_is_readable_without_scripts(page: Page, address: str) -> None:
    """What a browser that runs no script shows: the text of the file."""
    text = page.evaluate(
        "text => new DOMParser().parseFromString(text, 'text/html').body.innerText",
        Path(address.removeprefix("file://")).read_text(encoding="utf-8"),
    )
    assert "✗ read 199" in text
    assert "write 200" in text
    assert "although" in text
