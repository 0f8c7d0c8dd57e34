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
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from gameday.cli import main as gameday
from gameday.spec import inputs
from tests.matrices.rot_mutants import ROOT, Files, Mutant, mutants, project

LEAST: Final = 0.95
PLAYED: Final = ("label", "metric")
RUN_S: Final = 240


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
    before, shipped = Path.cwd(), inputs.shipped
    os.chdir(folder)
    inputs.shipped = list
    try:
        yield
    finally:
        inputs.shipped = shipped
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
    before = validated(edited(files, mutant.right), mutant.playbook)
    after = validated(edited(files, mutant.edits), mutant.playbook)
    names = [_core(mutant.old), _core(mutant.new)]
    new = [line for line in after if line not in before]
    return [line for line in new if any(name and name in line for name in names)]


def _core(name: str) -> str:
    """The part of a name that a message must hold."""
    return Path(name.split("://")[-1]).stem if name.endswith(".md") else name.removeprefix("item ")


def false_alarms(mutant: Mutant, files: Files) -> list[str]:
    """What is said of the inserted line while it is right."""
    if not mutant.right:
        return []
    before = validated(files, mutant.playbook)
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
        result = next((Path(folder) / "runs").glob("*/result.json"))
        steps = json.loads(result.read_bytes())["playbook"]
    wrong = [
        f"step {s['step']} {s['status']}" for s in steps if s["status"] in ("failed", "placebo")
    ]
    return f"{experiment}: {', '.join(wrong)}" if wrong else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print what was said of each")
    arguments = parser.parse_args()
    files = project()
    made: Counter[str] = Counter()
    found: Counter[str] = Counter()
    played: Counter[str] = Counter()
    alarms: list[str] = []
    missed: defaultdict[str, list[str]] = defaultdict(list)
    runs = arguments.runs
    for mutant in mutants(files, arguments.count, arguments.seed):
        made[mutant.kind] += 1
        alarms += [f"{mutant.title}: {line}" for line in false_alarms(mutant, files)]
        told = found_by_validate(mutant, files)
        if told:
            found[mutant.kind] += 1
        elif runs > 0 and mutant.kind in PLAYED and (by_run := found_by_a_run(mutant, files)):
            runs -= 1
            played[mutant.kind] += 1
            told = [by_run]
        else:
            missed[mutant.kind].append(mutant.title)
        if arguments.show:
            print(mutant.title, *told[:2], sep="\n    ")
    print(f"{'kind':12} {'made':>5} {'validate':>9} {'a run':>6} {'missed':>7}")
    for kind, count in sorted(made.items()):
        print(f"{kind:12} {count:5} {found[kind]:9} {played[kind]:6} {len(missed[kind]):7}")
    for title in (title for several in missed.values() for title in several):
        print(f"missed: {title}")
    for alarm in alarms:
        print(f"false alarm: {alarm}")
    total, all_found = sum(made.values()), sum(found.values()) + sum(played.values())
    print(f"{all_found} of {total} found ({all_found / total:.1%}), {len(alarms)} false alarms")
    return 0 if all_found >= LEAST * total and not alarms else 1


if __name__ == "__main__":
    sys.exit(main())
