"""A comparison of two runs as words: the inputs that differ first, then a row for each figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

from gameday.judge.comparison import (
    LEAST_FREEDOM,
    Comparison,
    Difference,
    Unit,
    WordDifference,
    compare,
)
from gameday.report import format
from gameday.report.messages import Messages
from gameday.report.past_runs import PastRun, different_inputs, repeats_of

SCHEMA: Final = 1
MOST_NAMES: Final = 12
Tone = Literal["", "better", "worse", "differs", "unknown"]


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """Two runs, what they were made of, and how they differ."""

    before: PastRun
    after: PastRun
    found: Comparison

    def as_json(self) -> object:
        """The whole as data."""
        inputs = different_inputs(self.before, self.after)
        return {
            "schema": SCHEMA,
            "experiment": self.after.experiment,
            "before": self.before.name,
            "after": self.after.name,
            "different_inputs": [
                {"name": name, "before": was, "after": now} for name, was, now in inputs
            ],
            "repeats": self.found.repeats,
            "noise_known": self.found.repeats > LEAST_FREEDOM,
            "verdict": asdict(self.found.verdict),
            "checks": [asdict(each) for each in self.found.checks],
            "clocks": [_as_json(each) for each in self.found.clocks],
            "traffic": [_as_json(each) for each in self.found.traffic],
            "differs": [each.name for each in self.found.differing],
            "unknown": [each.name for each in self.found.unknown],
        }


def _as_json(each: Difference) -> object:
    return {**asdict(each), "change": each.change}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: cells of plain text, and how it is to be coloured."""

    what: str
    before: str
    after: str
    change: str
    meaning: str
    tone: Tone = ""


def compare_runs(before: PastRun, after: PastRun, runs: Sequence[PastRun]) -> ComparedRuns:
    """Two runs of one experiment; `runs` are all there are, for the noise between repeats."""
    groups = [[each.result for each in group] for group in repeats_of(before, after, runs)]
    return ComparedRuns(before, after, compare(before.result, after.result, groups))


def opening(compared: ComparedRuns, say: Messages) -> Iterator[str]:
    """The lines above the table: which runs, what else they differ in, and the noise."""
    before, after = compared.before, compared.after
    yield say.plain(
        "compare.head", experiment=after.experiment, before=before.name, after=after.name
    )
    inputs = different_inputs(before, after)
    yield say.plain("compare.other_inputs") if inputs else say.plain("compare.same_inputs")
    for name, was, now in inputs:
        label = say.plain(f"compare.input_{name}")
        yield "  " + say.plain("compare.input", name=label, before=was, after=now)
    for each in (before, after):
        if not each.is_whole:
            yield say.plain("compare.cut_short", run=each.name, ended=each.result.ended)
    repeats = str(compared.found.repeats)
    if compared.found.repeats > LEAST_FREEDOM:
        yield say.plain("compare.noise_known", repeats=repeats)
    else:
        least = str(LEAST_FREEDOM + 1)
        yield say.plain("compare.noise_unknown", repeats=repeats, least=least)


def rows(compared: ComparedRuns, say: Messages, *, every: bool = False) -> Iterator[Row]:
    """The verdict, the checks that differ, the clocks, and the figures of the traffic.

    Checks with one verdict in both, and figures within a fault's window that do not differ, stand
    there only where `every` line is asked for.
    """
    found = compared.found
    yield _word_row(say.plain("compare.verdict"), found.verdict, say)
    for check in found.checks:
        if every or check.finding != "same":
            yield _word_row(check.name, check, say)
    for clock in found.clocks:
        if every or (clock.before, clock.after) != (None, None):
            yield _row(clock, say)
    for figure in found.traffic:
        if every or is_shown(figure):
            yield _row(figure, say)


def is_shown(figure: Difference) -> bool:
    """True for a figure of the whole run, or one that may differ."""
    return " " not in figure.name or figure.finding == "differs"


def closing(compared: ComparedRuns, say: Messages, *, every: bool = False) -> Iterator[str]:
    """The lines below: what is not shown, and what it comes to."""
    found = compared.found
    if not every:
        same = sum(check.finding == "same" for check in found.checks)
        yield say.plain("compare.same_checks", count=str(same))
        hidden = sum(not is_shown(figure) for figure in found.traffic)
        if hidden:
            yield say.plain("compare.same_figures", count=str(hidden))
    if found.differing:
        yield say.plain("compare.result_some", names=_names(found.differing, say))
        if any(isinstance(each, Difference) for each in found.differing):
            yield say.plain("compare.chance")
    if found.unknown:
        yield say.plain("compare.result_unknown", names=_names(found.unknown, say))
    if not found.differing and not found.unknown:
        yield say.plain("compare.result_none")


def _names(found: Sequence[Difference | WordDifference], say: Messages) -> str:
    """The names of lines, those that stand in the table of a short comparison first."""
    whole = [each for each in found if " " not in each.name]
    names = [_label(each, say) for each in whole or found][:MOST_NAMES]
    told, more = ", ".join(names), len(found) - len(names)
    return say.plain("compare.more", names=told, count=str(more)) if more else told


def _label(each: Difference | WordDifference, say: Messages) -> str:
    if isinstance(each, WordDifference):
        return say.plain("compare.verdict") if each.name == "verdict" else each.name
    name, _, window = each.name.partition(" ")
    label = say.plain(f"compare.figure_{name}")
    return say.plain("compare.in_window", figure=label, window=window) if window else label


def plain_word(word: str | None, say: Messages) -> str:
    """A verdict as people read it, without the marks that make it bold in Markdown."""
    return say.plain("compare.no_figure") if word is None else say.word(word).strip("*")


def _word_row(label: str, each: WordDifference, say: Messages) -> Row:
    tone: Tone = "" if each.finding in {"same", "within"} else "unknown"
    if each.finding == "differs":
        bad = {"failed", "invalid"}
        tone = "worse" if each.after in bad else "better" if each.before in bad else "differs"
    before, after = plain_word(each.before, say), plain_word(each.after, say)
    return Row(label, before, after, "", _meaning_of_words(each, say), tone)


def _meaning_of_words(each: WordDifference, say: Messages) -> str:
    counts = _counts(each.repeats, say)
    match each.finding:
        case "same":
            return say.plain("compare.same")
        case "within":
            return say.plain("compare.within_words", counts=counts)
        case "differs":
            return say.plain("compare.differs_words", counts=counts)
        case "unknown":
            return say.plain("compare.unknown")


def _counts(repeats: Mapping[str, int], say: Messages) -> str:
    return ", ".join(f"{plain_word(word, say)} {count}" for word, count in repeats.items()) or "–"


def _row(each: Difference, say: Messages) -> Row:
    tone: Tone = ""
    if each.finding == "unknown":
        tone = "unknown"
    elif each.finding == "differs":
        tone = "differs" if each.better is None else "better" if each.better else "worse"
    return Row(
        what=_label(each, say),
        before=figure(each.before, each.unit, say),
        after=figure(each.after, each.unit, say),
        change=_change(each, say),
        meaning=_meaning(each, say),
        tone=tone,
    )


def _change(each: Difference, say: Messages) -> str:
    """With its sign; nothing where it rounds to nothing."""
    change = each.change or 0.0
    shown = figure(abs(change), each.unit, say)
    if not any(digit in shown for digit in "123456789"):
        return ""
    return f"{'+' if change > 0 else '−'}{shown}"


def _meaning(each: Difference, say: Messages) -> str:
    limit = figure(each.limit, each.unit, say)
    match each.finding:
        case "same":
            return say.plain("compare.same")
        case "unknown":
            return say.plain("compare.unknown")
        case "within":
            return _within(each, limit, say)
        case "differs":
            return _beyond(each, limit, say)


def _within(each: Difference, limit: str, say: Messages) -> str:
    if each.change is None:
        return say.plain("compare.within_absent")
    if each.limit is None:
        return say.plain("compare.within_resolution")
    return say.plain("compare.within", limit=limit)


def _beyond(each: Difference, limit: str, say: Messages) -> str:
    is_absent = each.change is None
    absent = say.plain("compare.differs_absent")
    told = absent if is_absent else say.plain("compare.differs", limit=limit)
    if each.better is None:
        return told
    if each.better:
        return say.plain("compare.better", finding=told)
    return say.plain("compare.worse", finding=told)


def figure(value: float | None, unit: Unit, say: Messages) -> str:
    """A figure with its unit, a dash where it is not known."""
    if value is None:
        return say.plain("compare.no_figure")
    with format.in_language(say.language):
        match unit:
            case "s":
                return str(format.clock(value))
            case "ms":
                return str(format.milliseconds(value))
            case "share":
                return str(format.percent(value))
            case "per_s":
                return say.plain("compare.per_second", n=f"{value:,.1f}")
            case "number":
                return f"{value:,.0f}"
