"""Certificates as files: for each failed check, the few facts that prove it, beside the draft.

`certificate-<check>.json` says in words what it proves and why that follows, then has the facts as
the verdict has them, the people, and the SHA-256 of the files in which each fact can be looked up.
`examples/check_certificate.py` does that with nothing of gameday (docs/certificates.md).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.digests import digest_of
from gameday.judge.result import CheckLine, Result
from gameday.report.inputs import Material
from gameday.report.messages import Messages
from gameday.report.people import SAFETY, Wrong

Field = tuple[str, object]
_PREFIX: Final = "certificate-"
_SOURCES: Final = ("audit.json", "inputs/effective.json", "history/*.bin", "history/*.steps")


def file_of(check: str) -> str:
    """The name of a check's certificate in the run directory."""
    return f"{_PREFIX}{check}.json"


def has_file(result: Result, check: str) -> bool:
    """True if the result proves that the check failed; other names become no file."""
    return any(check == each.name for each in _proven(result))


def write_certificates(m: Material, say: Messages) -> None:
    """Write a file for each proof, and remove those of an earlier judging."""
    proven = {check.name: check for check in _proven(m.result)}
    wrongs = {wrong.check: wrong for wrong in m.wrongs}
    sources = _sources(m.run_dir) if proven else {}
    for name in SAFETY:
        path = m.run_dir / file_of(name)
        if name in proven:
            fields = [*_fields(m, proven[name], wrongs.get(name), say), ("files", sources)]
            files.replace(path, _lines(fields))
        else:
            path.unlink(missing_ok=True)


def _proven(result: Result) -> Iterator[CheckLine]:
    for check in result.checks:
        if check.verdict == "invalid" and check.certificate and check.name in SAFETY:
            yield check


def _fields(m: Material, check: CheckLine, wrong: Wrong | None, say: Messages) -> Sequence[Field]:
    kind = wrong.kind if wrong else ""
    known = f"certificate.proof_{kind}" in say.by_id
    found = wrong.people if wrong else ()
    return [
        ("certificate", 1),
        ("run", m.result.run),
        ("check", check.name),
        ("kind", kind),
        ("says", say.line(check.message, check.summary)),
        ("proof", say.plain(f"certificate.proof_{kind if known else 'other'}")),
        ("how_to_check", say.plain("certificate.how", file=file_of(check.name))),
        ("facts", check.certificate),
        ("people", [asdict(each) for each in found]),
    ]


def _sources(run_dir: Path) -> Mapping[str, str]:
    """The files in which the facts stand, with their sums."""
    found = {}
    for pattern in _SOURCES:
        for path in sorted(run_dir.glob(pattern)):
            if path.is_file():
                found[path.relative_to(run_dir).as_posix()] = digest_of(path)
    return found


def _lines(fields: Sequence[Field]) -> Sequence[bytes]:
    """JSON that a person can read: an item of a list a line, a row in one piece."""
    lines = [f" {_json(key)}: {_value(value)}" for key, value in fields]
    return [b"{\n", ",\n".join(lines).encode("utf-8", "backslashreplace"), b"\n}\n"]


def _value(value: object, indent: str = " ") -> str:
    inner = indent + " "
    if isinstance(value, list | tuple) and value:
        rows = (f"{inner}{_json(each)}" for each in value)
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    if isinstance(value, Mapping) and value:
        pairs = (f"{inner}{_json(key)}: {_value(each, inner)}" for key, each in value.items())
        return "{\n" + ",\n".join(pairs) + f"\n{indent}}}"
    return _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
