"""A console's page in a real browser: opened by its link, and worked as a person does."""

import shutil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import Page

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
WAIT_MS: Final = 30_000


def opened(chromium: "Chromium", link: str, name: str = "", **how: Any) -> "Page":
    """A page of its own browser, whose errors fail the test that looks at them."""
    context = chromium.new_context(**how)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.problems = problems  # type: ignore[attr-defined]
    page.goto(link)
    if name:
        page.fill("#join input", name)
        page.click("#join button")
    return page


def sure(page: "Page", what: str) -> None:
    """Click something that asks once, and say yes."""
    page.click(what)
    page.click("dialog button.main")


def tell(page: "Page", text: str) -> None:
    """Send an update."""
    page.fill("#update", text)
    page.click("#do-update")
    page.wait_for_selector("#telling .answer.good")


def believe(page: "Page", cause: str) -> None:
    """Take the incident, declare the hypothesis in which `cause` stands, and say how bad it is."""
    page.click("#do-ack")
    page.wait_for_selector("#incident .answer.good")
    page.click(f"#belief label.choice >> text={cause}")
    page.click("#do-declare")
    page.wait_for_selector("#belief .answer.good")
    page.click("[data-severity=sev3]")
    page.wait_for_selector("[data-severity=sev3][aria-pressed=true]")


def work_on(page: "Page", cause: str, step: str) -> None:
    """Work on the incident that pages, up to "mitigated", by what the page alone tells.

    `step` is the playbook's that is worked.
    """
    page.wait_for_selector(".page.firing", timeout=3 * WAIT_MS)
    believe(page, cause)
    page.select_option("#playbook", label=step.partition(":")[0])
    sure(page, f'[data-step="{step}"]')
    page.wait_for_selector("#actions .answer.good")
    tell(page, "Coupons come late. The path is switched; next news in five minutes.")
    sure(page, "#do-mitigated")
