"""The README's picture: a real run's files, drawn as the live screen and the verdict drew them.

    python -m tests.support.pictures RUN_DIR SECOND OUT.svg

The screen is that of the instant SECOND after the start of the traffic; the verdict is the one
that `gameday check` computes.
"""

import io
import json
import sys
from pathlib import Path

from gameday.cli.drawing import SafeConsole, joined, styled
from gameday.cli.runs import show_result
from gameday.cli.screen import Story, draw
from gameday.evidence.read import read
from gameday.judge.judge import judge


def story_until(run_dir: Path, second: float) -> Story:
    """What the screen knew at that instant."""
    journal = [json.loads(line) for line in (run_dir / "journal.jsonl").open()]
    samples = [json.loads(line) for line in (run_dir / "samples.jsonl").open()]
    t0_ns = next(r["t0_ns"] for r in journal if "t0_ns" in r)
    until_ns = t0_ns + int(second * 1e9)
    told = sorted(
        [(r["t"], "journal", r) for r in journal]
        + [(s["t"], "sample", s) for s in samples if "readings" in s],
        key=lambda one: one[0],
    )
    story = Story()
    story.plan(run_dir)
    for t_ns, kind, line in told:
        if t_ns <= until_ns:
            (story.journal if kind == "journal" else story.sample)(line)
    return story


def main(run_dir: str, second: str, out: str) -> None:
    """Draw it."""
    console = SafeConsole(record=True, width=104, file=io.StringIO())
    when = styled(f"(the screen at {second} s)", "dim")
    console.print(joined("$ gameday run redis-slow        ", when, "\n"))
    console.print(draw(story_until(Path(run_dir), float(second))))
    console.print(styled("\n… and in the end\n", "dim"))
    show_result(judge(read(Path(run_dir))), console)
    console.save_svg(out, title="gameday run redis-slow")


if __name__ == "__main__":
    main(*sys.argv[1:])
