"""MLflow's compare view of the phantom study, as a real browser shows it (Playwright and Debian's Chromium)."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

from command import ROOT
from style import IMAGES

from phantom import phantom_study

PORT = 5177
CHROMIUM = "/usr/bin/chromium"
FILTER = quote("metrics.`val/dice_mean` > 0")
PAGE = f"http://127.0.0.1:{PORT}/#/experiments/1/runs?workflowType=machine_learning&compareRunsMode=CHART"


def draw(work: Path) -> Path:
    """The validation curves of teacher, baselines and students in one page.

    Raises:
        ImportError: Playwright is not installed (extra ``[figures]``).
    """
    from playwright.sync_api import sync_playwright

    _, runs = phantom_study(work)
    line = [sys.executable, "-m", "kd_monai", "mlflow", f"OUT={runs}", f"PORT={PORT}"]
    server = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1320, "height": 760})
            page.goto(f"{PAGE}&searchFilter={FILTER}")
            page.get_by_role("button", name="Close", exact=True).click(timeout=60_000)  # the assistant
            parent = page.get_by_role("link").filter(has_text="-quick-").first.bounding_box(timeout=60_000)
            page.mouse.click(parent["x"] - 33, parent["y"] + parent["height"] / 2)  # unfold its children
            page.wait_for_timeout(3_000)
            page.get_by_placeholder("Search metric charts").fill("val/dice_")
            page.wait_for_timeout(8_000)
            path = IMAGES / "mlflow.png"
            page.screenshot(path=str(path))
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=30)
    return path


def _wait() -> None:
    for _ in range(120):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"`kd-monai mlflow` did not answer on port {PORT} within a minute.")
