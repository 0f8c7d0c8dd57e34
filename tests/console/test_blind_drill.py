"""A blind live drill of `redis-slow`, played to its debrief by what a trainee's page alone shows.

A real fault in a real stack, Debian's Chromium, and a facilitator's page beside the trainee's.
"""

from typing import TYPE_CHECKING

import pytest

from gameday.evidence import events
from gameday.evidence.journal import every, first, read
from tests.support.live_drills import copied, held, secrets_of, short_folder
from tests.support.pages import WAIT_MS, opened, sure, work_on

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_a_blind_drill_is_played_in_a_browser_from_start_to_debrief(chromium: "Chromium") -> None:
    with short_folder() as folder:
        (folder / "files").mkdir()
        copy = copied("redis-slow", folder / "files", lasts_s=60)
        with held(copy.path, folder / "d", "--console") as drill:
            links = drill.links()
            page = opened(chromium, links["trainee"], "Ada")
            lead = opened(chromium, links["facilitator"])
            lead.wait_for_selector(f"#truth >> text={copy.experiment.title}")
            work_on(page, "Redis answers late", "redis-slow:1")
            page.wait_for_selector(".calm", timeout=2 * WAIT_MS)
            for secret in secrets_of(copy):
                assert secret not in page.content()
                assert secret not in page.inner_text("body")
            lead.wait_for_selector("#timeline >> text=Ada believes: Redis answers late")
            sure(page, "#do-resolved")
            page.wait_for_selector("#truth >> text=What was true", timeout=2 * WAIT_MS)
            for told in (copy.experiment.name, copy.experiment.title):
                page.wait_for_selector(f"#truth >> text={told}")
            page.wait_for_selector("#banner >> text=The debrief is open")
            lead.wait_for_selector("#timeline >> text=The debrief begins.")
            assert page.problems + lead.problems == []  # type: ignore[attr-defined]
            assert drill.finish() in (0, 1, 3), drill.output.read_text()
        records = read(drill.dir() / "journal.jsonl").records
    orders = [each.event for each in every(records, events.OrderGiven)]
    given = [each.order for each in orders]
    assert given == ["ack", "declare", "severity", "act", "update", "mitigated", "resolved"]
    assert {each.by for each in orders} == {"Ada"}
    assert first(records, events.DrillDebriefed) is not None
    assert [each.event.gone for each in every(records, events.FaultRemoved)] == [True]
