"""Action items over all runs: a later run closes one, and nobody's file is changed."""

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.report.action_items import Collected, RunItem, collect

ITEM = """---
status: draft
---

## Action items

- [{box}] make it hold

  ```yaml action
  owner: ops
  experiment: {experiment}
  expect: {expect}
  ```
"""
Verdicts = dict[str, str]


def run(
    folder: Path,
    day: int,
    verdicts: Verdicts | None,
    draft: str = "",
    experiment: str = "redis-torn",
    **more: Any,
) -> Path:
    """A run of a day, with its result and, if given, its draft."""
    path = folder / f"202611{day:02}T083000Z-{experiment}-d{day:03}"
    path.mkdir(parents=True)
    (path / "journal.jsonl").touch()
    if draft:
        (path / "postmortem.md").write_text(draft)
    if verdicts is not None:
        checks = [{"name": n, "verdict": v, "summary": ""} for n, v in verdicts.items()]
        result = {
            "schema": 2,
            "run": path.name,
            "experiment": experiment,
            "stack": "embedded",
            "seed": 7,
            "started_at": f"2026-11-{day:02}T08:30:00Z",
            "ended_at": None,
            "verdict": "failed",
            "ended": "completed",
            "exit_code": 1,
            "checks": checks,
            "faults": [],
            "alerts": [],
            "traffic": None,
            "playbook": [],
            "clocks": {},
            **more,
        }
        (path / "result.json").write_text(json.dumps(result))
    return path


def states(folder: Path) -> list[tuple[str, str]]:
    found = collect(sorted(folder.iterdir(), reverse=True))
    assert found.problems == []
    return [(each.state, each.by[-4:]) for each in found.items]


def item(expect: str = "no_over_issuance", box: str = " ", experiment: str = "redis-torn") -> str:
    return ITEM.format(expect=expect, box=box, experiment=experiment)


BAD, GOOD, NONE = ({"no_over_issuance": v} for v in ("invalid", "valid", "unknown"))


@pytest.mark.parametrize(
    ("later", "state"),
    [
        ([], ("open", "")),
        ([BAD], ("open", "")),
        ([NONE], ("open", "")),
        ([{}], ("open", "")),
        ([GOOD], ("closed", "d002")),
        ([BAD, GOOD, GOOD], ("closed", "d003")),
        ([GOOD, NONE], ("closed", "d002")),
        ([GOOD, BAD], ("broken again", "d003")),
        ([GOOD, BAD, NONE], ("broken again", "d003")),
        ([GOOD, BAD, BAD, GOOD], ("closed", "d005")),
    ],
)
def test_the_last_run_that_could_tell_decides(
    tmp_path: Path, later: list[Verdicts], state: tuple[str, str]
) -> None:
    first = run(tmp_path, 1, BAD, item())
    before = (first / "postmortem.md").read_bytes()
    for day, verdicts in enumerate(later, 2):
        run(tmp_path, day, verdicts)
    assert states(tmp_path) == [state]
    assert (first / "postmortem.md").read_bytes() == before


def test_an_earlier_run_or_one_of_another_experiment_closes_nothing(tmp_path: Path) -> None:
    run(tmp_path, 5, BAD, item())
    run(tmp_path, 4, GOOD)
    run(tmp_path, 6, GOOD, experiment="redis-slow")
    assert states(tmp_path) == [("open", "")]


def test_all_that_is_expected_must_hold_in_one_run(tmp_path: Path) -> None:
    run(tmp_path, 1, BAD, item("[no_over_issuance, stores_agree]"))
    run(tmp_path, 2, GOOD)
    run(tmp_path, 3, {"stores_agree": "valid"})
    assert states(tmp_path) == [("open", "")]
    run(tmp_path, 4, {**GOOD, "stores_agree": "valid"})
    assert states(tmp_path) == [("closed", "d004")]


def test_an_alert_and_a_step_can_be_what_is_expected(tmp_path: Path) -> None:
    run(tmp_path, 1, BAD, item("alerts.RedisSlow"))
    run(tmp_path, 2, BAD, item("playbook.2"))
    alert = {"alert": "RedisSlow", "expected": True, "status": "hit"}
    step = {"step": 2, "status": "done", "verified": True}
    run(tmp_path, 3, BAD, alerts=[alert], playbook=[step])
    assert states(tmp_path) == [("closed", "d003")] * 2


def test_an_item_that_a_person_ticked_off_is_done(tmp_path: Path) -> None:
    run(tmp_path, 1, BAD, item(box="x"))
    run(tmp_path, 2, BAD)
    assert states(tmp_path) == [("done", "")]


def test_a_run_that_was_never_judged_counts_from_its_name(tmp_path: Path) -> None:
    run(tmp_path, 3, None, item())
    run(tmp_path, 2, GOOD)
    assert states(tmp_path) == [("open", "")]
    run(tmp_path, 4, GOOD)
    assert states(tmp_path) == [("closed", "d004")]


def damaged(tmp_path: Path) -> Collected:
    run(tmp_path, 1, BAD, item())
    (run(tmp_path, 2, BAD) / "postmortem.md").write_bytes(b"\xff\xfe")
    (run(tmp_path, 3, BAD) / "postmortem.md").mkdir()
    (run(tmp_path, 4, BAD) / "postmortem.md").symlink_to("/dev/zero")
    (run(tmp_path, 5, GOOD) / "result.json").write_text('{"schema": 2}')
    with (run(tmp_path, 6, GOOD) / "postmortem.md").open("wb") as file:
        file.truncate(64 << 20)
    (run(tmp_path, 7, GOOD, item()) / "result.json").write_text("[" * 100_000)
    return collect(sorted(tmp_path.iterdir(), reverse=True))


def test_what_cannot_be_read_is_named_and_the_others_are_still_listed(tmp_path: Path) -> None:
    found = damaged(tmp_path)
    assert [(each.run[-4:], each.state) for each in found.items] == [
        ("d007", "open"),
        ("d001", "closed"),
    ]
    for day in range(2, 8):
        assert any(f"-d00{day}" in problem for problem in found.problems), day


def open_items(run_dir: Path, run_dirs: list[Path]) -> list[RunItem]:
    return [each for each in collect(run_dirs).items if each.run == run_dir.name and each.is_open]


def test_the_open_items_of_one_run_are_seen_in_the_light_of_all(tmp_path: Path) -> None:
    first = run(tmp_path, 1, BAD, item())
    assert len(open_items(first, [first])) == 1
    assert open_items(first, [first, run(tmp_path, 2, GOOD)]) == []
