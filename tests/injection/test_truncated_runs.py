"""Runs whose files were torn, altered or lost: what is left of them is used, and never more."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.evidence import journal
from gameday.evidence.read import read as read_evidence
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.judge.judge import judge
from gameday.judge.result import Result
from tests.matrices.torn import WAYS, honest_run, trial
from tests.support.events import event_of
from tests.support.rundirs import RUN, RunDir
from tests.support.signed import heal, signed
from tests.support.toxics import toxic
from tests.support.toxiproxies import redis_like, toxic_names, toxiproxy

drivers = Drivers()

TRIALS = 60


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    return honest_run(tmp_path)


def judged(run_dir: Path) -> Result:
    return judge(read_evidence(run_dir))


def missing(run_dir: Path) -> dict[str, str]:
    return {each.part: each.why for each in judged(run_dir).missing}


def test_the_honest_run_of_these_tests_passes_and_lacks_nothing(honest: Path) -> None:
    assert (judged(honest).verdict, missing(honest)) == ("passed", {})


@pytest.mark.parametrize("way", range(len(WAYS)), ids=list(WAYS))
def test_a_run_torn_anywhere_is_read_as_far_as_it_goes(honest: Path, way: int) -> None:
    """A sample; `python -m tests.matrices.torn 1000` does it at 1,000 places."""
    trials = [trial(honest, number) for number in range(way, TRIALS, len(WAYS))]
    assert [each for each in trials if each.wrong] == []


def test_a_line_that_is_torn_is_named_and_the_run_has_no_end(honest: Path) -> None:
    path = honest / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    lines = path.read_bytes().count(b"\n")
    assert missing(honest) == {"journal": f"line {lines + 1} is torn"}
    assert judged(honest).ended == "interrupted"
    assert judged(honest).exit_code == 5


def test_a_journal_cut_after_a_whole_line_says_that_it_has_no_end(honest: Path) -> None:
    path = honest / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert missing(honest) == {
        "journal": "it has no end: the run was killed, or the file was cut off"
    }
    assert judged(honest).verdict == "unknown"


def test_a_journal_cut_before_the_removal_leaves_the_fault_in(honest: Path) -> None:
    path = honest / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b"fault.removed" in line)
    path.write_bytes(b"".join(lines[:at]))
    assert judged(honest).exit_code == 6


def test_rubbish_after_the_end_is_told_and_the_run_does_not_pass(honest: Path) -> None:
    with (honest / "journal.jsonl").open("ab") as file:
        file.write(bytes(512))
    assert "is torn" in missing(honest)["journal"]
    assert judged(honest).verdict == "unknown"


@pytest.mark.parametrize(
    ("file", "part", "why"),
    [
        ("audit.json", "audit", "audit.json is not what it was when the run ended: it is not"),
        ("samples.jsonl", "samples", "samples.jsonl is not what it was when the run ended"),
        ("history/drop-0.bin", "history", "history/drop-0.bin is not what it was when"),
        ("inputs/effective.json", "effective", "inputs/effective.json is not what it was"),
    ],
)
def test_a_file_lost_after_the_run_is_named(honest: Path, file: str, part: str, why: str) -> None:
    (honest / file).unlink()
    assert missing(honest)[part].startswith(why)
    assert judged(honest).verdict == "unknown"


def test_a_run_that_never_came_to_its_audit_says_so(tmp_path: Path) -> None:
    run = RunDir(ended=None)
    path = run.write(tmp_path / RUN)
    (path / "audit.json").unlink()
    assert missing(path)["audit"] == "the audit was not reached"
    assert judged(path).exit_code == 5


@pytest.mark.parametrize(
    ("file", "damage", "part", "why"),
    [
        ("audit.json", lambda raw: raw[:100], "audit", "cannot be read: "),
        ("audit.json", lambda _: b"[]", "audit", "cannot be read: "),
        ("samples.jsonl", lambda raw: raw[:-7], "samples", "line 36 is torn"),
        ("samples.jsonl", lambda raw: b"{}\n" + raw, "samples", "line 1 cannot be read"),
        ("samples.jsonl", lambda raw: b"\xff\n" + raw, "samples", "line 1 cannot be read"),
        ("history/drop-0.bin", lambda raw: raw[:100], "history", "drop-0.bin cannot be read"),
        (
            "history/drop-0.bin",
            lambda raw: raw[:8] + b"\xff" * 8 + raw[16:],
            "history",
            "drop-0.bin cannot be read: it tells of",
        ),
        ("inputs/effective.json", lambda raw: raw[:-9], "effective", "cannot be read: "),
        ("inputs/effective.json", lambda _: b"{}", "effective", "cannot be read: "),
        ("reaper.jsonl", lambda _: b'{"seq": 0', "reaper", "line 1 is torn"),
    ],
    ids=[f"damage {number}" for number in range(10)],
)
def test_a_file_torn_in_a_run_without_a_seal_is_named(
    tmp_path: Path, file: str, damage: Callable[[bytes], bytes], part: str, why: str
) -> None:
    path = RunDir().write(tmp_path / RUN)
    before = (path / file).read_bytes() if (path / file).exists() else b""
    (path / file).write_bytes(damage(before))
    assert missing(path)[part].startswith(why)
    assert judged(path).verdict == "unknown"


def test_check_and_report_work_on_a_torn_run(honest: Path) -> None:
    path = honest / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    checked = CliRunner().invoke(main, ["check", str(honest)])
    assert checked.exit_code == 5, checked.output
    told = CliRunner().invoke(main, ["report", str(honest)])
    assert told.exit_code == 0, told.output
    page = (honest / "postmortem.md").read_text()
    assert "The evidence is not whole" in page
    assert "is torn" in page
    assert json.loads((honest / "result.json").read_bytes())["missing"][0]["part"] == "journal"


async def test_a_torn_journal_still_heals_a_real_toxiproxy(tmp_path: Path) -> None:
    """Cut at 20 places: the toxic comes out wherever its announcement survived, and only there."""
    dice = random.Random(4)
    async with redis_like() as upstream, toxiproxy() as url:
        server = Toxiproxy(url)
        body = {"name": "cache", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
        await server.call("POST", "/proxies", body)
        site = InjectionContext("r", url, {"redis": "cache"})
        change = toxic("redis", "latency", latency=50, jitter=0)
        undo = await drivers.prepare(change, site)
        whole = signed(tmp_path / "journal.jsonl")
        whole.write(event_of("run.started", run="r"))
        whole.write(event_of("fault.injecting", id="f", undo=[undo.as_json()]))
        whole.write(event_of("fault.injected", id="f"))
        whole.close()
        raw = whole.path.read_bytes()
        announced = raw.index(b"\n", raw.index(b"\n") + 1) + 1
        for cut in [announced - 1, announced, *(dice.randrange(len(raw)) for _ in range(18))]:
            whole.path.write_bytes(raw[:cut] + bytes(100))
            await drivers.act(change, undo, site)
            await heal(tmp_path, {})
            left = await toxic_names(server, "cache")
            assert (left == []) == (cut >= announced), cut
            await drivers.undo(undo)
    assert journal.read(whole.path).damage
