"""The README's picture of a drill: the page of who works on it, in a real browser.

    python -m tests.support.pictures.drill OUT.png

A blind drill of `redis-slow` as it is shipped, on a stack of its own. It is taken when the alerts
have fired for some seconds, a hypothesis is declared and the step of the playbook is done.
"""

import shutil
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from gameday.spec.inputs import find_experiment
from tests.support.live_drills import held, short_folder
from tests.support.pages import CHROMIUM, WAIT_MS, believe, opened, sure, tell

SIZE: Final = {"width": 1280, "height": 900}
FELT_MS: Final = 12_000  # of a fault, until it is seen in the charts
HELPED_MS: Final = 2_500


def main(out: str) -> None:
    """Hold the drill, and take the picture."""
    with short_folder() as folder, sync_playwright() as tool:
        (folder / "files").mkdir(mode=0o700)
        copy = Path(shutil.copy(find_experiment("redis-slow"), folder / "files"))
        with held(copy, folder / "d", "--console", window="5s") as drill:
            browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = opened(browser, drill.links()["trainee"], "Ada", viewport=SIZE)
            page.wait_for_selector(".page.firing", timeout=3 * WAIT_MS)
            page.wait_for_timeout(FELT_MS)
            believe(page, "Redis answers late")
            tell(page, "Coupons come late. We know why; next news in five minutes.")
            page.select_option("#playbook", label="redis-slow")
            sure(page, '[data-step="redis-slow:1"]')
            page.wait_for_timeout(HELPED_MS)
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=out)
            browser.close()
            drill.facilitate("debrief")
            drill.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
