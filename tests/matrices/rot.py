"""`python -m tests.matrices.rot [--count 240] [--seed 1]`: seeded rot, and how much of it is found.

Each mutant (`rot_mutants`) is a whole project in a folder of its own; `gameday validate` is called
on the playbook in it. Found is what is told of the mutant's own name and was not told before. With
`--runs N` up to N of those that are missed, of kinds that only the system itself can answer, are
played: a short run of an experiment of that playbook, in which the step must not come out `done`.
An inserted line that is right must not be complained about. Exit code 1 below `LEAST`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from gameday.cli import main as gameday
from gameday.spec import shipped as places
from tests.matrices.rot_mutants import ROOT, Files, Mutant, mutants, project

LEAST: Final = 0.95
PLAYED: Final = ("label", "metric", "flag", "action")
RUN_S: Final = 240


@cache
def told_before(book: str) -> Sequence[str]:
    """Everything that it says of a playbook as it is."""
    return validated(project(), book)


def validated(files: Files, book: str) -> Sequence[str]:
    """Everything that `gameday validate BOOK` says in a project of these files."""
    with tempfile.TemporaryDirectory() as folder, _alone_in(Path(folder), files):
        done = CliRunner().invoke(gameday, ["validate", "--json", book])
    (told,) = json.loads(done.stdout) if done.stdout else [{"warnings": [], "error": None}]
    error = [told["error"]["message"]] if told["error"] else []
    return [*told["warnings"], *error, *([] if done.stdout else [done.output])]


@contextmanager
def _alone_in(folder: Path, files: Files) -> Iterator[None]:
    """The current folder is a project of these files, and nothing that is shipped is there."""
    lay_out(folder, files)
    before, shipped = Path.cwd(), places.shipped
    os.chdir(folder)
    places.shipped = list
    try:
        yield
    finally:
        places.shipped = shipped
        os.chdir(before)


def lay_out(folder: Path, files: Files) -> None:
    """Write the files of a project."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def edited(files: Files, edits: Mapping[str, str | None]) -> dict[str, str]:
    """The project after the edits."""
    whole: dict[str, str | None] = {**files, **edits}
    return {name: text for name, text in whole.items() if text is not None}


def found_by_validate(mutant: Mutant, files: Files) -> list[str]:
    """What it says of the mutant's own names, in lines that it did not say before."""
    right = mutant.right
    before = (
        validated(edited(files, right), mutant.playbook) if right else told_before(mutant.playbook)
    )
    after = validated(edited(files, mutant.edits), mutant.playbook)
    names = [_words(mutant.old), _words(mutant.new)]
    new = [line for line in after if line not in before]
    return [line for line in new if any(name and name <= _words(line) for name in names)]


def _words(text: str) -> set[str]:
    """The words of a name, all of which a message must hold."""
    return set(re.findall(r"[\w-]+", text)) - {"item", "playbooks", "md", "gone"}


def false_alarms(mutant: Mutant, files: Files) -> list[str]:
    """What is said of the inserted line while it is right."""
    if not mutant.right:
        return []
    before = told_before(mutant.playbook)
    now = validated(edited(files, mutant.right), mutant.playbook)
    bare = {line.partition(": ")[2] for line in before}
    return [line for line in now if line.partition(": ")[2] not in bare]


def found_by_a_run(mutant: Mutant, files: Files) -> str:
    """What a short run of the playbook says of it, "" where all its steps came out as before."""
    name = Path(mutant.playbook).stem
    using = [
        Path(path).stem
        for path, text in sorted(files.items())
        if path.startswith("experiments/") and f"playbook: {name}\n" in text and "short:" in text
    ]
    if not using:
        return ""
    experiment = name if name in using else using[0]
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder), edited(files, mutant.edits))
        (Path(folder) / "system_under_test" / "__init__.py").touch()
        command = [sys.executable, "-m", "gameday", "run", experiment, "--short"]
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
            capture_output=True,
            timeout=RUN_S,
            check=False,
        )
        result = next((Path(folder) / "runs").glob("*/result.json"), None)
        if result is None:  # it could not begin, or not be judged: nothing was found by it
            return ""
        steps = json.loads(result.read_bytes())["playbook"]
    wrong = [
        f"step {s['step']} {s['status']}" for s in steps if s["status"] in ("failed", "placebo")
    ]
    return f"{experiment}: {', '.join(wrong)}" if wrong else ""


@dataclass(slots=True)
class Tally:
    """The sums of a matrix, by kind of rot."""

    made: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    played: Counter[str] = field(default_factory=Counter)
    missed: list[Mutant] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    runs: int = 0

    def look_at(self, mutant: Mutant, files: Files) -> list[str]:
        """Try to find one mutant; what was said of it."""
        self.made[mutant.kind] += 1
        self.alarms += [f"{mutant.title}: {line}" for line in false_alarms(mutant, files)]
        told = found_by_validate(mutant, files)
        if told:
            self.found[mutant.kind] += 1
            return told
        if self.runs > 0 and mutant.kind in PLAYED:
            self.runs -= 1
            if by_run := found_by_a_run(mutant, files):
                self.played[mutant.kind] += 1
                return [by_run]
        self.missed.append(mutant)
        return []

    @property
    def share(self) -> float:
        """The share of mutants that were found."""
        return (self.found.total() + self.played.total()) / max(1, self.made.total())

    def lines(self) -> Iterator[str]:
        """The table and what was missed."""
        missed = Counter(mutant.kind for mutant in self.missed)
        yield f"{'kind':12} {'made':>5} {'validate':>9} {'a run':>6} {'missed':>7}"
        for kind, count in sorted(self.made.items()):
            figures = f"{count:5} {self.found[kind]:9} {self.played[kind]:6} {missed[kind]:7}"
            yield f"{kind:12} {figures}"
        yield from (f"missed: {mutant.title}" for mutant in self.missed)
        yield from (f"false alarm: {alarm}" for alarm in self.alarms)
        found = self.found.total() + self.played.total()
        sums = f"{found} of {self.made.total()} found ({self.share:.1%})"
        yield f"{sums}, {len(self.alarms)} false alarms"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print what was said of each")
    arguments = parser.parse_args()
    files = project()
    tally = Tally(runs=arguments.runs)
    for mutant in mutants(files, arguments.count, arguments.seed):
        told = tally.look_at(mutant, files)
        if arguments.show:
            print(mutant.title, *told[:2], sep="\n    ")
    print(*tally.lines(), sep="\n")
    return 0 if tally.share >= LEAST and not tally.alarms else 1


if __name__ == "__main__":
    sys.exit(main())
