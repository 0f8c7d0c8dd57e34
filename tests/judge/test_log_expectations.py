"""What the service's logs must say, and must not: from real files of lines to the verdict."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import NS
from gameday.core.files import MIB
from gameday.evidence.log_file import LogGap
from gameday.evidence.read import read
from gameday.evidence.service_logs import JsonLine, LogReader, instant_ns
from gameday.judge.checks import logs
from gameday.judge.judge import judge
from gameday.judge.verdict import NotApplicable, Validity, Verdict
from gameday.report.lint import lint
from gameday.report.postmortem import write_report
from gameday.spec.experiment import ExpectedLog
from tests.support.rundirs import T0_NS, WALL_NS, RunDir

STARTED_S = -10.0  # where the runs of literal data begin, before the traffic
ENDED_S = 33.0
INJECTED_S = 10.0
DB_ERRORS = {"name": "db-errors", "pattern": "cannot connect", "within": "5s"}
Raw = tuple[float, str] | str | bytes


def written(at_s: float, message: str = "", **fields: Any) -> str:
    """A line as a service writes it, at that second of the traffic."""
    at = datetime.fromtimestamp(WALL_NS / NS + at_s - STARTED_S, UTC)
    time = at.isoformat(timespec="milliseconds")
    return json.dumps({"time": time, "level": "INFO", "message": message, **fields}) + "\n"


QUIET = [written(-9.0, "serving"), written(29.0, "still here")]


def found(
    tmp_path: Path,
    lines: Iterable[str | bytes] | None,
    *expected: dict[str, Any],
    run: RunDir | None = None,
    file: str = "service.log",
    **bounds: float,
) -> Path:
    """A run whose service wrote these lines (None: no log at all), searched as a run's end does."""
    run = run or RunDir()
    run.expect(logs=list(expected))
    path = run.write(tmp_path / "run")
    if lines is not None:
        raw = [each.encode() if isinstance(each, str) else each for each in lines]
        (path / "logs" / file).write_bytes(b"".join(raw))
    search(path, [ExpectedLog.model_validate(each) for each in expected], **bounds)
    return path


def search(path: Path, expected: list[ExpectedLog], **bounds: Any) -> None:
    begun_ns = T0_NS + round(STARTED_S * NS)
    ended_ns = T0_NS + round(ENDED_S * NS)
    more = {"ended_ns": ended_ns, **bounds}
    reader = LogReader(expected, offset_ns=WALL_NS - begun_ns, begun_ns=begun_ns, **more)
    reader.read(path).write(path / "logs.json")


def verdict(path: Path) -> Verdict:
    result = logs.check(read(path))
    assert isinstance(result, Verdict)
    return result


def state(path: Path) -> tuple[str, str]:
    """The status of the only expectation, and why."""
    (one,) = logs.statuses(read(path))
    return one.status, one.why.text()


def errors(*ats: float) -> list[str]:
    return [QUIET[0], *(written(at, "db: cannot connect", level="ERROR") for at in ats), QUIET[1]]


@pytest.mark.parametrize(
    ("ats", "expected", "status"),
    [
        ([11.0], {}, "hit"),
        ([9.0, 11.0], {}, "hit"),
        ([9.0], {}, "missed"),
        ([], {}, "missed"),
        ([17.5], {}, "late"),
        ([11.0, 12.0], {"at_least": 3}, "missed"),
        ([11.0, 12.0, 16.5], {"at_least": 3}, "late"),
        ([11.0, 12.0, 13.0], {"at_least": 3}, "hit"),
        ([11.0, 12.0], {"at_most": 2}, "hit"),
        ([11.0, 12.0, 13.0], {"at_most": 2}, "false"),
        ([], {"at_most": 0}, "hit"),
        ([9.0, 17.0], {"at_most": 0}, "hit"),
        ([12.0], {"at_most": 0}, "false"),
        ([17.0], {"at_most": 0, "within": None}, "false"),
        ([-5.0], {"at_most": 0, "from": "start", "within": None}, "hit"),
        ([1.0], {"at_most": 0, "from": "start", "within": None}, "false"),
        ([10.5], {"from": "damage"}, "missed"),
        ([12.0], {"from": "damage", "within": "1500ms"}, "hit"),
        ([11.0], {"at_least": 1, "at_most": 1}, "hit"),
        ([11.0], {"of": "another"}, "unknown"),
    ],
)
def test_lines_count_from_an_instant_on_for_a_time(
    tmp_path: Path, ats: list[float], expected: dict[str, Any], status: str
) -> None:
    path = found(tmp_path, errors(*ats), {**DB_ERRORS, **expected})
    assert state(path)[0] == status, state(path)
    validity = {"hit": Validity.VALID, "unknown": Validity.UNKNOWN}.get(status, Validity.INVALID)
    assert verdict(path).validity is validity


@pytest.mark.parametrize(
    ("expected", "status"),
    [
        ({"pattern": "^db: cannot"}, "hit"),
        ({"pattern": "^cannot"}, "missed"),
        ({"pattern": "(?i)CANNOT CONNECT$"}, "hit"),
        ({"pattern": "x|nnot c"}, "hit"),
        ({"fields": {"level": "ERROR"}}, "hit"),
        ({"fields": {"level": "ERR"}}, "missed"),
        ({"fields": {"level": "ERROR|WARN", "http.status": "5.."}}, "hit"),
        ({"fields": {"http.status": "4.."}}, "missed"),
        ({"fields": {"http.status.code": ".*"}}, "missed"),
        ({"fields": {"log.level": "error"}}, "hit"),
        ({"fields": {"retried": "true"}}, "hit"),
        ({"pattern": "cannot", "fields": {"level": "INFO"}}, "missed"),
    ],
)
def test_a_line_is_meant_by_its_message_and_its_fields(
    tmp_path: Path, expected: dict[str, Any], status: str
) -> None:
    line = written(
        11.0,
        "db: cannot connect",
        level="ERROR",
        http={"status": 503},
        retried=True,
        **{"log.level": "error"},
    )
    path = found(
        tmp_path, [*QUIET[:1], line, *QUIET[1:]], {"name": "it", "within": "5s", **expected}
    )
    assert state(path)[0] == status


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (written(12.0)[:-9], "lines that are no JSON object: 1"),
        ("Traceback (most recent call last):\n", "lines that are no JSON object: 1"),
        ("[1, 2]\n", "lines that are no JSON object: 1"),
        (b"\x00" * 4000 + b"\n", "lines that are no JSON object: 1"),
        (b'{"time": "\xff\xfe"}\n', "lines that are no JSON object: 1"),
        ('{"message": "no time"}\n', "lines without a time that has a zone: 1"),
        ('{"time": "2026-11-23T08:30:22", "message": "a"}\n', "lines without a time that has"),
        ('{"time": "2019-01-01T00:00:00Z", "message": "a"}\n', "lines from a time that is not"),
        ('{"time": "2031-01-01T00:00:00Z", "message": "a"}\n', "lines from a time that is not"),
        ('{"time": 1e300, "message": "a"}\n', "lines without a time"),
        (b'{"m": "' + b"x" * (2 * MIB) + b'"}\n', "lines of more than 1 MiB: 1"),
    ],
)
def test_what_cannot_be_read_in_its_time_is_unknown_never_passed(
    tmp_path: Path, what: str | bytes, why: str
) -> None:
    """Neither that a line is missing, nor that none was there."""
    if isinstance(what, str) and not what.endswith("\n"):
        what += "\n"
    lines = [written(-9.0), written(12.0), what, written(13.0), written(29.0)]
    for name, more in (("a", {}), ("b", {"at_most": 0})):
        path = found(tmp_path / name, lines, {**DB_ERRORS, **more})
        status, said = state(path)
        assert (status, verdict(path).validity) == ("unknown", Validity.UNKNOWN)
        assert why in said


@pytest.mark.parametrize("status", ["hit", "false"])
def test_a_line_that_was_seen_stands_however_damaged_the_log_is(
    tmp_path: Path, status: str
) -> None:
    lines = [*errors(11.0)[:-1], "torn\n", *QUIET[1:]]
    more = {} if status == "hit" else {"at_most": 0}
    assert state(found(tmp_path, lines, {**DB_ERRORS, **more}))[0] == status


def test_damage_outside_of_its_time_says_nothing_against_it(tmp_path: Path) -> None:
    """A banner before the fault, and a line that was torn when the stack went down."""
    lines = [
        "  * banner *\n",
        written(-9.0),
        written(5.0),
        written(9.0),
        written(20.0),
        '{"time": "2026-',
    ]
    path = found(tmp_path, lines, DB_ERRORS)
    assert state(path)[0] == "missed"
    path = found(
        tmp_path / "all", lines, {**DB_ERRORS, "at_most": 0, "from": "start", "within": None}
    )
    assert state(path) == (
        "unknown",
        """logs/service.log: its last line is torn: '{"time": "2026-'""",
    )


@pytest.mark.parametrize(
    ("ats", "status"),
    [
        # None is a line that nobody can read; the window is 10 s to 15 s.
        ((-9, 30, None, 9, 40), "unknown"),
        ((-9, 5, None, 9, 20), "hit"),
        ((-9, 5, None, 9, 4, 20), "unknown"),  # 4 s may be the stray one, or 9 s
        ((-9, 5, 32, None, 9, 12, 20), "unknown"),  # it may have come after 12 s
        ((-9, 5, 32, 16, None, 17, 20), "unknown"),
        ((-9, 5, None, 2, 6, 20), "hit"),  # 6 s is later than all before it
        ((-9, None, 5, 2, 6, 20), "hit"),
        ((-9, 5, 16, 17, None, 16.5, 20), "hit"),  # by threads that are out of order a little
        ((-9, 16, None, 17, -5, 20), "unknown"),
    ],
)
def test_a_gap_ends_only_at_lines_that_are_in_order_with_all_others(
    tmp_path: Path, ats: tuple[float | None, ...], status: str
) -> None:
    lines = ["no JSON\n" if at is None else written(at) for at in ats]
    path = found(tmp_path, lines, {**DB_ERRORS, "at_most": 0}, ended_ns=T0_NS + 60 * NS)
    assert state(path)[0] == status, state(path)


def test_a_gap_that_is_told_backwards_touches_all_between() -> None:
    gap = LogGap("torn", 1, after_ns=30, before_ns=9)
    assert gap.touches(10, 60)
    assert gap.touches(0, 9)
    assert gap.touches(15, 16)
    assert not gap.touches(31, 60)
    assert not gap.touches(0, 8)


def test_gaps_beyond_those_that_are_kept_are_open_to_the_end(tmp_path: Path) -> None:
    lines = [text for n in range(1100) for text in (written(n / 1000 - 9), "no JSON\n")]
    path = found(tmp_path, [*lines, written(29.0)], {**DB_ERRORS, "at_most": 0})
    assert state(path)[0] == "unknown"
    (source,) = read(path).searched_logs.sources
    assert len(source.gaps) == 1000
    assert sum(gap.lines for gap in source.gaps) == 1100
    assert [gap.before_ns is None for gap in source.gaps] == [False] * 999 + [True]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (None, "the run kept no log of the service"),
        ([], "logs/service.log holds no line that can be read"),
        (["\n", "\n"], "logs/service.log holds no line that can be read"),
    ],
)
def test_no_log_and_an_empty_one_are_unknown(
    tmp_path: Path, lines: list[str] | None, why: str
) -> None:
    path = found(tmp_path, lines, {**DB_ERRORS, "at_most": 0})
    assert verdict(path).validity is Validity.UNKNOWN
    assert why in verdict(path).summary


def test_a_log_that_is_a_link_to_nothing_or_to_a_device_is_unknown(tmp_path: Path) -> None:
    path = found(tmp_path, None, DB_ERRORS)
    for name, target in (("service-1.log", "nowhere"), ("service-2.log", "/dev/zero")):
        (path / "logs" / name).symlink_to(target)
    search(path, [ExpectedLog.model_validate(DB_ERRORS)])
    status, why = state(path)
    assert status == "unknown"
    assert "logs/service-1.log: it cannot be read: No such file" in why


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ({"most_bytes": 10_000}, "it is larger than 256 MiB, and was not read further"),
        ({"most_s": 0.0}, "reading it took more than 40 s"),
    ],
)
def test_a_log_is_read_within_bounds_and_what_was_not_read_is_unknown(
    tmp_path: Path, bounds: dict[str, Any], why: str
) -> None:
    lines = [written(-9.0), *(written(10.5 + n / 1e4, "x" * 100) for n in range(3000))]
    path = found(tmp_path, [*lines, *errors(12.0)], DB_ERRORS, **bounds)
    assert state(path) == ("unknown", f"logs/service.log: {why}" + state(path)[1].partition(why)[2])


def test_more_lines_than_are_kept_are_counted_as_far_as_they_go(tmp_path: Path) -> None:
    lines = [written(11.0 + n / 1e5, "db: cannot connect") for n in range(100_010)]
    path = found(tmp_path, [QUIET[0], *lines, QUIET[1]], {**DB_ERRORS, "at_least": 100_000})
    assert state(path)[0] == "hit"
    assert len(json.loads((path / "logs.json").read_text())["matches"][0]["lines"]) <= 300
    path = found(tmp_path / "most", [QUIET[0], *lines, QUIET[1]], {**DB_ERRORS, "at_most": 100_000})
    assert state(path)[0] == "unknown"
    assert (path / "logs.json").stat().st_size < 3 * MIB


def test_the_logs_of_all_replicas_count_together(tmp_path: Path) -> None:
    path = found(tmp_path, errors(11.0), {**DB_ERRORS, "at_least": 2}, file="service-1.log")
    (path / "logs" / "service-2.log").write_text("".join(errors(12.0)))
    (path / "logs" / "redis.log").write_text("what a store says is not the service's\n")
    search(path, [ExpectedLog.model_validate({**DB_ERRORS, "at_least": 2})])
    assert state(path)[0] == "hit"


def test_without_expectations_the_check_does_not_apply(tmp_path: Path) -> None:
    path = RunDir().write(tmp_path / "run")
    assert isinstance(logs.check(read(path)), NotApplicable)


def test_a_run_that_was_killed_before_its_logs_were_searched_is_unknown(tmp_path: Path) -> None:
    path = found(tmp_path, errors(11.0), DB_ERRORS)
    (path / "logs.json").unlink()
    result = judge(read(path))
    line = next(each for each in result.checks if each.name == "logs")
    assert (line.verdict, line.summary) == ("unknown", "logs.json: not there")
    assert ("logs", "unknown") in [(each.part, result.verdict) for each in result.missing]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n", b"x"),
        (b"{", b"["),
        (b'"at_ns": ', b'"at_ns": 1e999, "b": '),
        (b'"instants": [', b'"instants": ["x", '),
        (b'"instants": [', b'"instants": [NaN, '),
        (b'"instants": [', b'"instants": [99999999999999999999999, '),
    ],
)
def test_a_damaged_file_of_what_was_found_is_named(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = found(tmp_path, errors(11.0), DB_ERRORS)
    file = path / "logs.json"
    file.write_bytes(file.read_bytes().replace(old, new))
    result = judge(read(path))
    line = next(each for each in result.checks if each.name == "logs")
    assert line.verdict == "unknown"
    assert [each.part for each in result.missing] == ["logs"]


def test_the_draft_shows_the_lines_escaped_and_says_where_they_stand(tmp_path: Path) -> None:
    nasty = written(11.0, "cannot connect | `x` <script>alert(1)</script> [a](http://b)\r\n# head")
    path = found(tmp_path, [QUIET[0], nasty, QUIET[1]], DB_ERRORS)
    (path / "result.json").write_bytes(judge(read(path)).to_bytes())
    draft = write_report(path).read_text()
    row = next(line for line in draft.splitlines() if "service.log:2" in line)
    assert "11.0 s" in row
    assert "logs[0]" in row
    assert row.replace("\\|", "").count("|") == 6, "the bar of the line is no column"
    assert "&lt;script&gt;" in row
    assert "<script" not in row
    assert "](" not in row.replace("\\](", "").replace("](http\\:", ""), "and nothing a link"
    assert lint(path, path / "postmortem.md").unsupported == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"time": "2026-11-23T08:30:00Z"}, WALL_NS),
        ({"time": "2026-11-23T17:30:00.000+09:00"}, WALL_NS),
        ({"@timestamp": "2026-11-23T08:30:00.123456789Z"}, WALL_NS + 123_456_000),
        ({"ts": 1795422600}, WALL_NS),
        ({"ts": 1795422600.5}, WALL_NS + NS // 2),
        ({"timestamp": 1795422600000}, WALL_NS),
        ({"timestamp": 1795422600000000}, WALL_NS),
        ({"timestamp": 1795422600000000000}, WALL_NS),
        ({"time": True}, None),
        ({"time": -1}, None),
        ({"time": None}, None),
        ({"time": "yesterday"}, None),
        ({"time": "2026-11-23T08:30:00"}, None),
        ({}, None),
    ],
)
def test_the_times_that_services_write_are_understood(
    line: dict[str, Any], expected: int | None
) -> None:
    assert instant_ns(JsonLine(line)) == expected
