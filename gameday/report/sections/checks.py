"""Proof of the result: every check's verdict, and the files with their sums."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gameday.evidence.events import RunStarted
from gameday.evidence.seal import digest_of
from gameday.judge.result import CheckLine
from gameday.judge.verdict import NotApplicable
from gameday.report import format
from gameday.report.inputs import Material
from gameday.report.markdown import Markup, bullets, code, table, text
from gameday.report.messages import Messages

_EVIDENCE: Final = (
    "result.json",
    "journal.jsonl",
    "samples.jsonl",
    "audit.json",
    "reaper.jsonl",
    "inputs/*",
    "inputs/rules/*",
    "history/*.bin",
)
_REQUIRED: Final = ("journal.jsonl", "samples.jsonl", "audit.json", "inputs/effective.json")


def proof(m: Material, say: Messages) -> list[Markup]:
    """The table of checks, their certificates, and what did not apply."""
    blocks, checks = [say("proof.head")], m.result.checks
    if not checks:
        return [*blocks, say("proof.none")]
    head = [say(f"proof.col_{name}") for name in ("check", "verdict", "summary", "ref")]
    blocks += [say("proof.about"), table(head, [_row(check, say) for check in checks])]
    certificates = [_certificate(check, say) for check in checks if check.certificate]
    blocks += [bullets(certificates)] if certificates else []
    lacking = [_lacking(each, say) for each in m.result.not_applicable]
    if lacking:
        blocks.append(say("proof.not_applicable", checks=Markup(", ".join(lacking))))
    return blocks


def _row(check: CheckLine, say: Messages) -> list[Markup]:
    name = check.name
    summary = text(say.line(check.message, check.summary))
    return [code(name), say.word(check.verdict), summary, format.of_result(f"checks.{name}")]


def _certificate(check: CheckLine, say: Messages) -> Markup:
    content = code(json.dumps(check.certificate))
    return say("proof.certificate", check=code(check.name), certificate=content)


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
