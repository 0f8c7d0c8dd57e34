"""The README's picture of a run: a real run's files, drawn as its screen and verdict drew them.

    python -m tests.support.pictures RUN_DIR SECOND OUT.svg

The screen is that of the instant SECOND after the start of the traffic; the verdict is the one
that `gameday check` computes.
"""

import io
import sys
from pathlib import Path

from gameday.cli.drawing import SafeConsole, joined, styled
from gameday.cli.runs import show_result
from gameday.cli.screen import Story, draw
from gameday.evidence.events import Phase
from gameday.evidence.journal import Record, has_sum, parse
from gameday.evidence.read import read
from gameday.judge.judge import judge
from gameday.telemetry.samples import LiveEvaluation, evaluation_of


def story_until(run_dir: Path, second: float) -> Story:
    """What the screen knew at that instant."""
    lines = (run_dir / "journal.jsonl").read_bytes().splitlines()
    records = [parse(line, checked=has_sum(line))[0] for line in lines]
    every = map(evaluation_of, (run_dir / "samples.jsonl").read_bytes().splitlines())
    events = (r.event for r in records)
    t0_ns = next(e.t0_ns for e in events if isinstance(e, Phase) and e.t0_ns is not None)
    told: list[Record | LiveEvaluation] = [*records, *(seen for seen in every if seen is not None)]
    story = Story()
    story.plan(run_dir)
    for one in sorted(told, key=lambda one: one.t_ns):
        if one.t_ns > t0_ns + int(second * 1e9):
            break
        if isinstance(one, LiveEvaluation):
            story.sample(one)
        else:
            story.journal(one)
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
