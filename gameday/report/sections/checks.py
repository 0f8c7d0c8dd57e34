"""Proof of the result: every check's verdict, and the files with their sums."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from gameday.core.digests import digest_of
from gameday.evidence.events import RunStarted
from gameday.judge.result import CheckLine
from gameday.judge.verdict import SHOWN, NotApplicable
from gameday.report import format
from gameday.report.certificates import file_of, has_file
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, bullets, code, table, text
from gameday.report.messages import Messages
from gameday.report.sections.names import claim

_EVIDENCE: Final = (
    "result.json",
    "journal.jsonl",
    "samples.jsonl",
    "audit.json",
    "logs.json",
    "certificate-*.json",
    "reaper.jsonl",
    "inputs/*",
    "inputs/rules/*",
    "history/*.bin",
)
Fact = tuple[str, object]
_MOST_COLUMNS: Final = 7
_REQUIRED: Final = ("journal.jsonl", "samples.jsonl", "audit.json", "inputs/effective.json")


def proof(m: Material, say: Messages) -> list[Markup]:
    """The table of checks, their certificates, and what did not apply."""
    blocks, checks = [say("proof.head")], m.result.checks
    if not checks:
        return [*blocks, say("proof.none")]
    head = [say(f"proof.col_{name}") for name in ("check", "verdict", "summary", "ref")]
    blocks += [say("proof.about"), table(head, [_row(check, say) for check in checks])]
    for check in checks:
        blocks += _certificate(m, check, say) if check.certificate else []
    lacking = [_lacking(each, say) for each in m.result.not_applicable]
    if lacking:
        blocks.append(say("proof.not_applicable", checks=Markup(", ".join(lacking))))
    return blocks


def _row(check: CheckLine, say: Messages) -> list[Markup]:
    name = check.name
    summary = text(say.line(check.message, check.summary))
    ref = format.of_result(f"checks.{name}")
    return [claim(name, say), say.word(check.verdict), summary, ref]


def _certificate(m: Material, check: CheckLine, say: Messages) -> list[Markup]:
    """The first facts of a proof as a table, and the file that has it whole."""
    if not has_file(m.result, check.name):
        return []
    about = say("proof.certificate", check=code(check.name), file=code(file_of(check.name)))
    lines = _facts(m, check)[:SHOWN]
    columns = list(dict.fromkeys(name for line in lines for name, _ in line))[:_MOST_COLUMNS]
    if not columns:
        return [about]
    rows = [[_cell(dict(line).get(name)) for name in columns] for line in lines]
    return [about, table([_column(name, say) for name in columns], rows)]


def _facts(m: Material, check: CheckLine) -> Sequence[Sequence[Fact]]:
    """Facts of a verdict: the people where they are known, else the evidence as it stands."""
    wrong = next((each for each in m.wrongs if each.check == check.name), None)
    if wrong and wrong.people and wrong.people[0].at_s is not None:
        return [
            [("user", p.user), ("ended_at", p.at_s), ("issue_id", p.issue_id)] for p in wrong.people
        ]
    return [list(each.items()) for each in check.evidence if isinstance(each, Mapping)]


def _column(name: str, say: Messages) -> Markup:
    known = f"certificate.col_{name}" in say.by_id
    return say(f"certificate.col_{name}") if known else code(name)


def _cell(value: object) -> Markup:
    if value is None or value == "":
        return Markup("–")
    if isinstance(value, float):
        return code(f"{value:.3f}")
    return code(value if isinstance(value, str) else json.dumps(value))


def _lacking(each: NotApplicable, say: Messages) -> Markup:
    return say("proof.lacking", check=code(each.name), lacks=say.line(each.message, each.lacks))


def supporting_data(m: Material, say: Messages) -> list[Markup]:
    """Every file the evidence consists of, with its SHA-256."""
    head = [say(f"data.col_{name}") for name in ("file", "size", "sha")]
    rows = [_file(m.run_dir, path, say) for path in _files(m.run_dir)]
    blocks = [say("data.head"), say("data.about"), table(head, rows)]
    without = {"audit.json"} if m.effective and not m.effective.system.issues else set()
    wanted = [name for name in _REQUIRED if name not in without]
    missing = [name for name in wanted if not (m.run_dir / name).exists()]
    if missing:
        blocks.append(say("data.missing", files=Markup(", ".join(map(code, missing)))))
    start = m.first(RunStarted)
    if start is not None and start.event.inputs:
        inputs = start.event.inputs.items()
        lines = [Markup(f"{code(str(file))} {code(str(sum_))}") for file, sum_ in inputs]
        blocks += [say("data.inputs", ref=format.of_record(start)), bullets(lines)]
    return blocks


def _files(run_dir: Path) -> Iterator[Path]:
    for pattern in _EVIDENCE:
        yield from sorted(path for path in run_dir.glob(pattern) if path.is_file())


def _file(run_dir: Path, path: Path, say: Messages) -> list[Markup]:
    name = path.relative_to(run_dir).as_posix()
    return [code(name), say.value(path.stat().st_size), code(digest_of(path))]
