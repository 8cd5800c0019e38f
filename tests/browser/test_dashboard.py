"""The dashboard in a real browser: every page, a drag over the chart, light and dark."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from dashboard import launch

pytestmark = pytest.mark.browser

CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAKED = "run?run=redis-split-brain/20261123T190000Z-7"
WAIT_MS = 30_000


@pytest.fixture(scope="module")
def server(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard over the simulated runs."""
    port, _ = launch.free_port(8650)
    log = (tmp_path_factory.mktemp("server") / "log").open("w+")
    process = subprocess.Popen(
        launch.command(port, [runs]), env=launch.environment(), stdout=log, stderr=log
    )
    try:
        _wait(launch.url(port), process)
        yield launch.url(port)
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the dashboard stopped"
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the dashboard did not answer within 60 s")


@pytest.fixture(scope="module", params=["light", "dark"])
def page(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")),
            executable_path=shutil.which("chromium"),
            args=CHROMIUM,
            viewport={"width": 1400, "height": 1700},
            color_scheme=request.param,
        )
        context.set_default_timeout(WAIT_MS)
        yield context.pages[0]
        context.close()


def shows(page: Page, address: str, words: str) -> None:
    """Go to a page, wait for its words and for the work behind it to end; nothing went wrong."""
    page.goto(address)
    expect(page.get_by_text(words).first).to_be_visible(timeout=WAIT_MS)
    settled(page)


def settled(page: Page) -> None:
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=WAIT_MS)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text("TypeError")).to_have_count(0)


def test_runs_lists_and_opens(server: str, page: Page, tmp_path: Path) -> None:
    shows(page, server, "redis-split-brain-guarded")
    page.screenshot(path=tmp_path / "runs.png")
    page.get_by_role("link", name="redis-split-brain", exact=True).click()
    expect(page.get_by_text("Window: the whole run")).to_be_visible(timeout=WAIT_MS)
    settled(page)
    assert "run=redis-split-brain%2F20261123T190000Z-7" in page.url.replace("/2026", "%2F2026")


def test_run_draws_every_panel(server: str, page: Page, tmp_path: Path) -> None:
    shows(page, f"{server}/{NAKED}", "Window: the whole run")
    expect(page.locator(".js-plotly-plot .xy").first).to_be_visible(timeout=WAIT_MS)
    chart = page.locator(".js-plotly-plot").inner_text()
    for words in ("Faults", "Who claims to be primary", "TWO PRIMARIES", "lost-write"):
        assert words in chart
    page.screenshot(path=tmp_path / "run.png", full_page=True)


def test_a_drag_over_the_chart_filters_what_is_below(
    server: str, page: Page, tmp_path: Path
) -> None:
    shows(page, f"{server}/{NAKED}", "Window: the whole run")
    panel = page.locator(".js-plotly-plot .nsewdrag").nth(2)
    expect(panel).to_be_visible(timeout=WAIT_MS)
    whole = page.get_by_text("operations named by anomalies").inner_text()
    box = panel.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.3, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, y + 5, steps=8)
    page.mouse.up()
    expect(page.get_by_text("Window: the whole run")).to_have_count(0, timeout=WAIT_MS)
    settled(page)
    assert "from=" in page.url
    assert "to=" in page.url
    assert page.get_by_text("operations named by anomalies").inner_text() != whole
    page.screenshot(path=tmp_path / "window.png", full_page=True)
    page.get_by_role("button", name="Whole run").click()
    expect(page.get_by_text("Window: the whole run")).to_be_visible(timeout=WAIT_MS)
    assert "from=" not in page.url


def test_a_link_with_a_window_opens_that_window(server: str, page: Page) -> None:
    shows(page, f"{server}/{NAKED}&from=12&to=13", "Window: 12.00 s to 13.00 s")


def test_trade_offs(server: str, page: Page, tmp_path: Path) -> None:
    shows(page, f"{server}/trade-offs", "wins when a lost write costs more than")
    expect(page.locator(".js-plotly-plot .xy").first).to_be_visible(timeout=WAIT_MS)
    page.screenshot(path=tmp_path / "trade-offs.png", full_page=True)


def test_only_loopback_is_asked(server: str, page: Page) -> None:
    """Pages need nothing from the internet."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    shows(page, f"{server}/{NAKED}", "Window: the whole run")
    outside = [url for url in asked if url.startswith("http") and not url.startswith(server)]
    assert asked
    assert outside == []
