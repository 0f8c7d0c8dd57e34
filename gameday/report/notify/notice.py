"""A notice: one thing that a channel is told, before anybody decides how it looks there.

Its sentences have ids (`[notify]` of the locale). Its values come from files that people wrote and
from the system under test: they are cut and cleaned here, once, and escaped by each channel for
its own language. A notice of a drill names neither the fault, nor the experiment, nor its title,
not even when the drill is over: a channel is read by those who have theirs next week.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from gameday.core.messages import Message, known
from gameday.judge.result import Result

Kind = Literal["run", "day", "drill"]
LONGEST_VALUE: Final = 300  # characters; a title is a line
LONGEST_TEXT: Final = 1500  # of an announcement: half of what Slack takes in one block
MOST_NAMED: Final = 5  # checks that are named in a message; the draft has all of them
# Joiners, which some languages are written with; what else has no width may turn a line round.
_HARMLESS: Final = {"\u200c", "\u200d"}
_UNSEEN: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def cleaned(text: str, most: int = LONGEST_VALUE) -> str:
    """A foreign text on one line, without what nobody can see, and not too long."""
    shown = "".join(
        each if each in _HARMLESS or unicodedata.category(each) not in _UNSEEN else " "
        for each in text[: 4 * most]
    )
    line = " ".join(shown.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of a message: the id of its label (`notify.fact.<name>`), and its value."""

    name: str
    value: Message | str

    def text(self, language: str) -> str:
        """The value as people read it."""
        if isinstance(self.value, Message):
            return self.value.text(language)
        return self.value

    def label(self, language: str) -> str:
        return Message(f"notify.fact.{self.name}").text(language)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is to be told. `text` is somebody's own, such as the announcement of a day."""

    event: str
    kind: Kind
    headline: Message
    facts: Sequence[Fact] = ()
    text: str = ""
    run: str = ""
    experiment: str = ""
    verdict: str = ""
    exit_code: int | None = None

    def exercise(self, language: str) -> str:
        """The label that stands first in every message: that this is an exercise."""
        return Message(f"notify.exercise.{self.kind}").text(language)

    def head(self, language: str) -> str:
        """Label and headline on one line."""
        head = {"exercise": self.exercise(language), "headline": self.headline.text(language)}
        return Message("notify.head", **head).text(language)

    def plain(self, language: str) -> str:
        """The whole message as lines of plain text."""
        lines = [self.head(language), *self.text.splitlines()]
        lines += [f"{each.label(language)}: {each.text(language)}" for each in self.facts]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTitle:
    """A run as its notices name it; of a drill only the run's own name, which tells nothing."""

    run: str
    experiment: str = ""
    title: str = ""
    stack: str = ""
    is_drill: bool = False

    @property
    def headline(self) -> str:
        return cleaned(self.title or self.experiment)

    @property
    def kind(self) -> Kind:
        return "drill" if self.is_drill else "run"


def run_started(of: RunTitle) -> Notice:
    """A run has begun."""
    if of.is_drill:
        return _drill(of.run, "started")
    facts = (*_named(of.run, of.experiment), Fact("stack", cleaned(of.stack)))
    return _run("run.started", of, Message("notify.run.started", title=of.headline), facts)


def alerts_fire(of: RunTitle, alerts: Sequence[str], at_s: float | None) -> Notice:
    """Alerts of a run fire. Not for drills: there the team is to see it by itself."""
    more = ["…"] if len(alerts) > MOST_NAMED else []
    named = cleaned(", ".join([*(cleaned(each) for each in alerts[:MOST_NAMED]), *more]))
    what = "alert" if len(alerts) == 1 else "alerts"
    told = Message(f"notify.run.{what}", title=of.headline, alert=named)
    facts = _named(of.run, of.experiment)
    if at_s is not None:
        facts = (*facts, Fact("since", Message("notify.seconds", s=f"{at_s:.1f}")))
    return _run("run.alert", of, told, facts)


def run_aborted(of: RunTitle, ended: str, why: str) -> Notice:
    """A run ends early; its faults are being taken out."""
    if of.is_drill:
        return _drill(of.run, "aborted")
    facts = (*_named(of.run, of.experiment), Fact("ended", _ended(ended)))
    if why:
        facts = (*facts, Fact("why", cleaned(why)))
    return _run("run.aborted", of, Message("notify.run.aborted", title=of.headline), facts)


def run_finished(result: Result, title: str = "", *, is_drill: bool = False) -> Notice:
    """A run is over and judged."""
    if is_drill:
        return _drill(cleaned(result.run), "finished")
    of = RunTitle(
        run=cleaned(result.run), experiment=result.experiment, title=title, stack=result.stack
    )
    word = Message(f"notify.verdict.{result.verdict}")
    facts = [*_named(of.run, of.experiment), Fact("verdict", word)]
    if result.ended != "completed":
        facts.append(Fact("ended", _ended(result.ended)))
    for verdict in ("invalid", "unknown"):
        found = [each.name for each in result.checks if each.verdict == verdict]
        if found:
            more = ["…"] if len(found) > MOST_NAMED else []
            facts.append(Fact(verdict, cleaned(", ".join([*found[:MOST_NAMED], *more]))))
    for name in ("detected", "mitigated", "recovered"):
        after_s = getattr(result.clocks, f"{name}_after_s")
        if after_s is not None:
            facts.append(Fact(name, Message("notify.seconds", s=f"{after_s:.1f}")))
    facts.append(Fact("draft", f"gameday report {of.run}"))
    return Notice(
        event="run.finished",
        kind="run",
        headline=Message("notify.run.finished", title=of.headline, verdict=word),
        facts=facts,
        run=of.run,
        experiment=of.experiment,
        verdict=result.verdict,
        exit_code=result.exit_code,
    )


def day_announced(title: str, text: str) -> Notice:
    """An announcement of a game day, in its owner's own words."""
    return _day("day.announced", Message("notify.day.announced", title=cleaned(title)), text)


def day_soon(title: str, starts_at: datetime, text: str = "") -> Notice:
    """A game day of the schedule begins soon (`notify_before`); `starts_at` has its zone."""
    when = f"{starts_at:%Y-%m-%d %H:%M} {starts_at.tzname() or ''}".strip()
    told = Message("notify.day.soon", title=cleaned(title), when=cleaned(when))
    return _day("day.soon", told, text)


def day_started(title: str, experiments: Sequence[str], text: str = "") -> Notice:
    """A game day begins, with what is on its agenda."""
    facts = (Fact("agenda", cleaned(", ".join(experiments))),) if experiments else ()
    return _day("day.started", Message("notify.day.started", title=cleaned(title)), text, facts)


def day_finished(title: str, verdicts: Sequence[tuple[str, str]], text: str = "") -> Notice:
    """A game day is over: each experiment with its verdict."""
    told = Message("notify.day.finished", title=cleaned(title))
    facts = [
        Fact("of", Message("notify.day.one", experiment=cleaned(name), verdict=_verdict(verdict)))
        for name, verdict in verdicts
    ]
    return _day("day.finished", told, text, facts)


def trial_notice(text: str = "") -> Notice:
    """A message that somebody sends to see whether it arrives."""
    return _day("test", Message("notify.test"), text)


def _run(event: str, of: RunTitle, told: Message, facts: Sequence[Fact]) -> Notice:
    return Notice(
        event=event,
        kind="run",
        headline=told,
        facts=facts,
        run=of.run,
        experiment=of.experiment,
    )


def _drill(run: str, what: str) -> Notice:
    """A notice of a drill: that it is one, and nothing of what is drilled."""
    headline = Message(f"notify.drill.{what}")
    event = f"drill.{what}"
    return Notice(event=event, kind="drill", headline=headline, facts=[Fact("run", run)], run=run)


def _day(event: str, told: Message, text: str, facts: Sequence[Fact] = ()) -> Notice:
    lines = [cleaned(line, LONGEST_TEXT) for line in text[:LONGEST_TEXT].splitlines()]
    return Notice(event=event, kind="day", headline=told, facts=facts, text="\n".join(lines))


def _named(run: str, experiment: str) -> tuple[Fact, ...]:
    return Fact("run", run), Fact("experiment", cleaned(experiment))


def _ended(ended: str) -> Message | str:
    return _known(f"ended.{ended}", ended)


def _verdict(verdict: str) -> Message | str:
    return _known(f"notify.verdict.{verdict}", verdict)


def _known(id_: str, text: str) -> Message | str:
    """A sentence, or the word itself where nobody has written one for it."""
    return known(Message(id_), cleaned(text))
