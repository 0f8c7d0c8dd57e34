"""A finished run, damaged at random places, healed, checked and reported on each time.

    python -m tests.matrices.torn N [RUN_DIR]

Without a run directory the one of literal data is taken (`rundirs.py`). Each trial takes a file of
the evidence, the journal in two of three, and tears it: cut at a random byte; the same with a tail
of zeros, as after a power cut, or of noise; a few bits turned over; a piece taken out of the
middle. Then what may be left behind is read from it, it is judged, and its report is written.

Nothing of that may raise anything but an error that names the file, a damaged run may never pass,
an honest one never be accused, and the result must name what is missing. Prints a line for each
way of tearing, and exits 1 when a trial broke a rule.
"""

import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.evidence import journal, seal
from gameday.evidence.read import read as read_evidence
from gameday.injection import heal
from gameday.judge.judge import judge
from gameday.judge.result import Result
from gameday.report import write_report
from tests.support.rundirs import RUN, RunDir

OTHERS = ("samples.jsonl", "audit.json", "inputs/effective.json", "history/drop-0.bin")
UNDO = {"kind": "toxic", "api": "http://127.0.0.1:9", "proxy": "redis", "name": "gameday-k3f9-1"}


def cut(raw: bytes, dice: random.Random) -> bytes:
    return raw[: dice.randrange(len(raw))]


def cut_and_zeros(raw: bytes, dice: random.Random) -> bytes:
    return cut(raw, dice) + bytes(dice.choice([1, 100, 4096]))


def cut_and_noise(raw: bytes, dice: random.Random) -> bytes:
    return cut(raw, dice) + dice.randbytes(200)


def bits_turned(raw: bytes, dice: random.Random) -> bytes:
    altered = bytearray(raw)
    for _ in range(dice.randint(1, 5)):
        altered[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    return bytes(altered)


def piece_lost(raw: bytes, dice: random.Random) -> bytes:
    begin = dice.randrange(len(raw))
    return raw[:begin] + raw[begin + dice.randint(1, 600) :]


WAYS: Mapping[str, Callable[[bytes, random.Random], bytes]] = {
    way.__name__: way for way in (cut, cut_and_zeros, cut_and_noise, bits_turned, piece_lost)
}


@dataclass(frozen=True)
class Trial:
    """One damaged file, and what is wrong with how it was taken ("" when nothing is)."""

    file: str
    way: str
    wrong: str


def honest_run(folder: Path) -> Path:
    """A run that passes, sealed as a real one is."""
    run = RunDir()
    run.event("fault.injecting", undo=[UNDO])
    path = run.write(folder / RUN)
    (path / "journal.jsonl").unlink()
    sums = seal.sums(path)
    run.sealed = sums
    run.write_journal(path / "journal.jsonl")
    return path


def trial(honest: Path, number: int) -> Trial:
    """Damage a copy of a run that passes, and look at everything that reads it."""
    dice = random.Random(number)
    way = list(WAYS)[number % len(WAYS)]
    file = "journal.jsonl" if number % 3 else dice.choice(OTHERS)
    whole = (honest / file).read_bytes()
    torn = WAYS[way](whole, dice)
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder, honest.name)
        shutil.copytree(honest, run_dir)
        (run_dir / file).write_bytes(torn)
        wrong = "" if torn == whole else look(run_dir, file)
    return Trial(file, way, wrong)


def look(run_dir: Path, file: str) -> str:
    """What heal, check and report make of it; what is wrong with that, or ""."""
    prefix = journal.read(run_dir / "journal.jsonl")
    left = heal.left_behind(prefix.records)
    result = judge(read_evidence(run_dir))
    (run_dir / "result.json").write_bytes(result.to_bytes())
    page = write_report(run_dir).read_text()
    told = [wrong_verdict(result), wrong_missing(result, prefix, file), wrong_page(result, page)]
    told.append(wrong_heal(prefix, left))
    return "; ".join(one for one in told if one)


def wrong_verdict(result: Result) -> str:
    if result.verdict == "passed":
        return "it passed"
    accused = [check.name for check in result.checks if check.verdict == "invalid"]
    crashed = [check.summary for check in result.checks if "crashed" in check.summary]
    return "; ".join([*(f"accused by {name}" for name in accused), *crashed])


def wrong_missing(result: Result, prefix: journal.Journaled, file: str) -> str:
    """The damaged part is named, and of a journal the line."""
    part = Path(file).stem if "/" not in file else file.split("/")[0]
    part = {"inputs": "effective"}.get(part, part)
    named = {each.part: each.why for each in result.missing}
    if part not in named:
        return f"{part} is not named as missing"
    if part == "journal" and prefix.damage and "line " not in named[part]:
        return "the line is not named"
    return ""


def wrong_page(result: Result, page: str) -> str:
    lacking = [each.part for each in result.missing if f"`{each.part}`" not in page]
    return f"the report does not name {lacking}" if lacking else ""


def wrong_heal(prefix: journal.Journaled, left: Any) -> str:
    """A fault whose announcement survived, and not its removal, is taken out."""
    events = [record.event.kind for record in prefix.records]
    due = "fault.injecting" in events and "fault.removed" not in events
    found = any(each.owner == "fault" for each in left)
    return "" if due == found else f"the fault is due: {due}, but heal would undo it: {found}"


def main() -> int:
    """Run so many trials, and say how they went."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory() as folder:
        honest = Path(sys.argv[2]) if len(sys.argv) > 2 else honest_run(Path(folder))
        trials = [trial(honest, n) for n in range(number)]
    counted = Counter((each.file, each.way, each.wrong or "as it should be") for each in trials)
    for (file, way, how), count in sorted(counted.items()):
        sys.stdout.write(f"{count:5d}  {file:24s} {way:14s} {how}\n")
    wrong = sum(bool(each.wrong) for each in trials)
    sys.stdout.write(f"{number} trials, {wrong} wrong\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
