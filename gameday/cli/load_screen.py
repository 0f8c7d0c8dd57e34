"""The output of `gameday traffic`: a line or two while it sends, the summary when it is over.

While it sends, on stderr: drawn again and again in a terminal, a plain line every five seconds
elsewhere. The summary is k6's in form, with what k6 does not say below it.
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Self

from rich.console import Group

from gameday.cli.drawing import SafeConsole, joined, styled
from gameday.cli.screen import BAR_CELLS, traffic_line
from gameday.cli.terminal import block
from gameday.cli.words import in_words, sentence
from gameday.traffic.forecast import traffic_end_s
from gameday.traffic.k6.summary_text import Marks, summary_lines, time_text

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from gameday.run.load_test.request import Load
    from gameday.run.load_test.result import LoadResult
    from gameday.traffic.metrics import Moment

PLAIN_EVERY_S: Final = 5  # as often as the windows that it is judged by
INTENDED: Final = "http_req_duration_intended"


class LoadScreen:
    """Shows moments on stderr between entering and leaving."""

    def __init__(self, load: "Load") -> None:
        self._console = SafeConsole(err=True)
        self._end_s = traffic_end_s(load.experiment)
        self._live: Live | None = None
        self._said_s = 0.0
        self._head = sentence(
            "load.head_one" if load.workers == 1 else "load.head",
            url=load.system.base_url,
            scenarios=", ".join(load.experiment.traffic),
            length_s=self._end_s,
            n=load.workers,
        )

    def __enter__(self) -> Self:
        self._console.print(block(self._head), soft_wrap=True)
        if self._console.is_terminal:
            self._live = self._console.live(transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, t_s: float, moment: "Moment") -> None:
        """One moment of the traffic, `t_s` after its beginning."""
        if self._live is not None:
            self._live.update(Group(self._bar(t_s), styled(traffic_line(moment))), refresh=True)
        elif t_s >= self._said_s + PLAIN_EVERY_S:
            self._said_s = t_s
            self._console.print(block(f"{t_s:7.1f}s {traffic_line(moment)}"), soft_wrap=True)

    def _bar(self, t_s: float) -> "Text":
        share = min(t_s / self._end_s, 1.0) if self._end_s else 1.0
        filled = math.floor(share * BAR_CELLS)
        gone, rest = styled("━" * filled, "green"), styled("─" * (BAR_CELLS - filled), "dim")
        return joined(gone, rest, f" {sentence('load.bar', at_s=t_s, end_s=self._end_s)}")


def end_summary(verdict: "LoadResult", encoding: str | None) -> Iterator[str]:
    """The lines of the end summary."""
    marks = Marks.for_encoding(encoding)
    yield ""
    yield from summary_lines(_metrics(verdict), verdict.held, marks)
    yield f"    {sentence('load.generator')}"
    yield from (f"    {line}" for line in _generator(verdict, marks))
    yield ""
    yield _last(verdict)


def _metrics(verdict: "LoadResult") -> dict[str, Mapping[str, float]]:
    """The metrics; without the latency from the due times where nothing had one."""
    asked = {one.metric for one in verdict.held}
    is_open = set(verdict.load.experiment.traffic) - set(verdict.summary.closed)
    return {
        name: figures
        for name, figures in verdict.all_metrics.items()
        if is_open or name != INTENDED or name in asked
    }


def _generator(verdict: "LoadResult", marks: Marks) -> Iterator[str]:
    """Lines that k6 does not have: they say if the traffic was what was asked for."""
    status, books = verdict.generator, verdict.summary
    yield sentence(
        "load.status",
        status=status.status,
        per_s=f"{status.speaks_up_to_per_s:.6g}",
        p95=time_text(status.lag_p95_ms, marks),
        p99=time_text(status.lag_p99_ms, marks),
    )
    yield from (f"  {reason}" for reason in map(in_words, status.reasons))
    counts = {name: getattr(books, name) for name in _COUNTS}
    yield sentence("load.scheduled", **counts)
    yield sentence("load.started", **counts)
    if verdict.failures:
        listed = ", ".join(f"{why} {count}" for why, count in verdict.failures.items())
        yield sentence("load.failures", listed=listed)
    duration = books.metrics.get(INTENDED, {})
    censored = int(duration.get("censored", 0))
    if censored:
        yield sentence("load.censored", n=censored, at_least=marks.at_least)
    if books.closed:
        yield sentence("load.closed", scenarios=", ".join(books.closed))


_COUNTS: Final = (
    "scheduled",
    "started",
    "dropped",
    "never_started",
    "completed",
    "failed",
    "interrupted",
)


def _last(verdict: "LoadResult") -> str:
    """The line that says how it ended, and what follows."""
    sent = verdict.sent
    early = "" if sent.ended == "completed" else sentence(f"load.{sent.ended}", why=sent.why or "")
    said = [text for text in (early, _judgement(verdict)) if text]
    return "; ".join(said) or sentence("load.done")


def _judgement(verdict: "LoadResult") -> str:
    crossed = [one for one in verdict.held if one.kept is False]
    unsure = [one for one in verdict.held if one.kept is None]
    held = len(verdict.held)
    if crossed:
        return sentence("load.crossed", n=len(crossed), all=held)
    if verdict.generator.status == "limited":
        return sentence("load.limited")
    if not verdict.summary.completed:
        return sentence("load.nothing")
    if unsure:
        return sentence("load.unsure", n=len(unsure), all=held)
    return sentence("load.kept", n=held) if held else ""
