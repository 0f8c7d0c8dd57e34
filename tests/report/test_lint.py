"""The linter: nothing it accuses is true, and no number can be changed without its finding it."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from gameday.core.errors import UsageError
from gameday.report import write_report
from gameday.report.html import fresh_page, page, write_html
from gameday.report.inputs import Material, read_material
from gameday.report.lint import Unsupported, by_words, lint, lint_blocks
from gameday.report.lint.blocks import of_html, of_markdown
from gameday.report.lint.numbers import ShownNumber, numbers_in
from gameday.report.lint.sources import Sources
from gameday.report.messages import Messages
from gameday.report.postmortem import compose
from gameday.traffic.history import Outcome
from tests.report.test_report import RESULT, write_run
from tests.support.rundirs import Answer, RunDir, issue


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checks = [
        *RESULT["checks"],
        {
            "name": "no_premature_sold_out",
            "verdict": "invalid",
            "summary": '20 told "sold out" too early: at 0.006 s at most 0 of 100000',
            "evidence": [{"user": 940, "ended_at": 0.006}, {"user": 396, "ended_at": 0.055}],
            "certificate": {"answer": {"user": 940, "sent_at": 0.0, "ended_at": 0.006}},
        },
        {"name": "exercised", "verdict": "unknown", "summary": "not seen: a sell-out at 25.0 s"},
    ]
    result = {**RESULT, "checks": checks, "verdict": "failed", "exit_code": 1}
    return write_run(tmp_path_factory.mktemp("runs") / "run", result=result)


@pytest.fixture(scope="module")
def draft(run_dir: Path) -> Path:
    return write_report(run_dir, "en")


@pytest.fixture(scope="module")
def material(run_dir: Path) -> Material:
    return read_material(run_dir)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_number_of_an_untouched_draft_has_a_source(run_dir: Path, language: str) -> None:
    found = lint(run_dir, write_report(run_dir, language))
    assert found.unsupported == []
    assert found.numbers > 150
    assert 10 < found.of_template < found.numbers / 2
    write_report(run_dir, "en")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_requests_and_people_of_the_lead_are_counted_from_one_source(
    tmp_path: Path, language: str
) -> None:
    run_dir = write_run(tmp_path / "run")
    (run_dir / "history").mkdir()
    late = [issue(k, k, 21 + k / 10, took_s=0.4) for k in range(12)]
    failed = [Answer(12 + k, 30 + k, Outcome.UNKNOWN, 22.0, took_s=2.0) for k in range(3)]
    before = [Answer(15, 40, Outcome.REFUSED, 3.0)]
    again = [issue(16, 0, 23.0, took_s=0.4)]
    history = run_dir / "history" / "drop-0.bin"
    RunDir(answers=[*late, *failed, *before, *again]).write_history(history)
    path = write_report(run_dir, language)
    text = path.read_text()
    said = {
        "en": "13 of their requests were answered later than 200 ms after they were due, and 3"
        " failed (`history/drop-0.bin`). These were requests of 15 people (`history/drop-0.bin`).",
        "ko": "늦게 응답된 요청이 13건, 실패한 요청이 3건이다(`history/drop-0.bin`)."
        " 이 요청을 보낸 사용자는 15명이다",
    }
    assert said[language] in text
    assert lint(run_dir, path).unsupported == []
    changed = tmp_path / "changed.md"
    changed.write_text(text.replace(said[language], said[language].replace("13", "14")))
    assert [each.number for each in lint(run_dir, changed).unsupported] == ["14"]


def test_no_digit_can_be_changed_unseen(draft: Path, material: Material) -> None:
    sources = Sources(material)
    text = draft.read_text().partition("<!-- gameday draft")[0]
    fresh = by_words(of_markdown(compose(material, Messages("en"))))
    missed = []
    tried = 0
    for nth, found in enumerate(re.finditer(r"\d+", text)):
        if nth % 7:
            continue
        at = found.start() + nth % len(found[0])
        changed = str((int(text[at]) + 1 + nth % 9) % 10)
        mutant = text[:at] + changed + text[at + 1 :]
        tried += 1
        if not lint_blocks(of_markdown(mutant), sources, fresh).unsupported:
            missed.append(text[max(0, at - 50) : at + 20])
    assert tried > 60
    assert missed == []


def test_most_changes_of_a_cell_are_found_by_the_evidence_alone(
    draft: Path, material: Material
) -> None:
    """Nothing is compared with what the report's own code writes: it may be wrong itself."""
    sources = Sources(material)
    text = draft.read_text().partition("<!-- gameday draft")[0]
    body = text.partition("## Impact in numbers")[2].partition("## Lessons")[0]
    tried = found = 0
    for each in re.finditer(r"(?<=\| )[\d,.]+(?= (?:s |ms |% )?\|)", body):
        if not each[0].strip("0.,"):
            continue
        tried += 1
        digit = next(i for i in range(each.start(), each.end()) if body[i].isdigit())
        mutant = body[:digit] + str((int(body[digit]) + 4) % 10) + body[digit + 1 :]
        found += bool(lint_blocks(of_markdown(mutant), sources, {}).unsupported)
    assert tried > 40
    assert found / tried > 0.7


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_digit_of_a_page_can_be_changed_unseen(
    language: str, run_dir: Path, material: Material
) -> None:
    """What is no text (pictures, scripts, the head) is not looked at; all else is."""
    text = page(run_dir, language).decode()
    sources = Sources(material)
    fresh = by_words(of_html(fresh_page(material, Messages(language))))
    hidden = [each.span() for each in re.finditer(r"(?s)<(script|style|svg|head)\b.*?</\1>", text)]
    places = [
        (each.start(1) + word.start(), word[0])
        for each in re.finditer(r">([^<]*)<", text)
        if not any(start <= each.start() < end for start, end in hidden)
        for word in re.finditer(r"\d+", each[1])
    ]
    missed = []
    for nth, (start, word) in enumerate(places[:: max(1, len(places) // 40)]):
        at = start + nth % len(word)
        mutant = text[:at] + str((int(text[at]) + 1 + nth % 9) % 10) + text[at + 1 :]
        if not lint_blocks(of_html(mutant), sources, fresh, language).unsupported:
            missed.append(text[max(0, at - 60) : at + 20])
    assert missed == []


def test_a_page_of_which_a_person_changed_a_number_is_told_by_the_evidence(tmp_path: Path) -> None:
    """The page is made of what they wrote; what it is held against is not."""
    run_dir = write_run(tmp_path / "run")
    draft = write_report(run_dir, "en")
    draft.write_text(draft.read_text().replace("| 6,000 |", "| 6,001 |", 1))
    found = lint(run_dir, write_html(run_dir, "en")).unsupported
    assert [(each.number, each.why) for each in found] == [("6,001", "the evidence gives 6,000")]


def findings(text: str, material: Material) -> Sequence[Unsupported]:
    return lint_blocks(of_markdown(text), Sources(material), {}).unsupported


@pytest.mark.parametrize(
    "sentence",
    [
        "It took 8.4 s to mitigate (`clocks.mitigated_after_s`), or 8410 ms.",
        "0.07 % failed (`traffic.metrics.http_req_failed`).",
        "Five seconds later, after 5.0 s, it fired (`alerts[0]`).",
        "The witness saw 303.5 ms (`#7`).",
    ],
)
def test_a_sentence_of_a_person_may_have_what_its_references_have(
    sentence: str, material: Material
) -> None:
    assert findings(sentence, material) == []


@pytest.mark.parametrize(
    ("sentence", "number", "why"),
    [
        ("It took 9.4 s (`clocks.mitigated_after_s`).", "9.4", "no reference of its line has it"),
        ("Some 312 customers rang us.", "312", "the run does not know it"),
        ("See `#4711`.", "#4711", "the reference leads nowhere"),
        ("See `@4711.000`.", "@4711.000", "the reference leads nowhere"),
        ("See `alerts[9]`.", "9", "the reference leads nowhere"),
        ("It was network-latency-7.", "network-latency-7", "the run does not know it"),
    ],
)
def test_a_number_that_nothing_supports_is_found(
    sentence: str, number: str, why: str, material: Material
) -> None:
    found = findings(f"Some words.\n\n{sentence}\n", material)
    assert [(each.number, each.why) for each in found] == [(number, why)]
    assert found[0].line == 3


def test_a_changed_line_is_told_with_what_the_evidence_gives(draft: Path, run_dir: Path) -> None:
    text = draft.read_text()
    row = next(line for line in text.splitlines() if "requests scheduled" in line)
    draft.write_text(text.replace(row, row.replace("6,000", "6,001")))
    try:
        (found,) = lint(run_dir, draft).unsupported
    finally:
        draft.write_text(text)
    assert (found.number, found.why) == ("6,001", "the evidence gives 6,000")
    assert text.splitlines()[found.line - 1] == row


def test_a_page_is_read_as_the_draft_is(material: Material) -> None:
    page = """<html><head><style>p {width: 77px}</style><script>var x = 99;</script></head>
    <body><p>It took <b>8.4&nbsp;s</b> (<code>clocks.mitigated_after_s</code>).</p>
    <svg><text>55</text></svg>
    <table><tr><td>sent</td><td>6,001</td><td><code>traffic.started</code></td></tr></table>"""
    (found,) = lint_blocks(of_html(page), Sources(material), {}).unsupported
    assert (found.line, found.number) == (4, "6,001")


def test_no_input_makes_the_linter_fall(run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "postmortem.md"
    for raw in (
        b"",
        b"---\n",
        b"1" * 100_000,
        b"| 1 |\n|---|\n" * 2000,
        b"[" * 5000,
        b"`#9`" * 5000,
    ):
        path.write_bytes(raw)
        lint(run_dir, path)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError):
        lint(run_dir, path)
    with pytest.raises(UsageError, match="postmortem.md"):
        lint(run_dir, tmp_path / "none" / "postmortem.md")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.50 ms", ShownNumber("1,234.50", 0, 1234.5, 2, "ms")),
        ("12초가", ShownNumber("12", 0, 12.0, 0, "초")),
        ("0.07%를", ShownNumber("0.07%", 0, 0.07, 2, "%")),
        ("p95가", ShownNumber("p95", 0, None)),
        ("−3.", ShownNumber("−3", 0, -3.0)),
    ],
)
def test_a_number_is_read_with_its_unit(text: str, number: ShownNumber) -> None:
    assert [*numbers_in(text)] == [number]
