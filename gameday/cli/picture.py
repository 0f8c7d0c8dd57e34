"""An experiment for the eye: what is asked, when what breaks, what should be seen.

`gameday show` draws the file; `gameday plan` draws what a run of it would touch, with the same
sections where both tell the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from rich.padding import Padding
from rich.table import Table

from gameday.cli.drawing import SafeConsole, joined, styled
from gameday.cli.drawing import table as new_table
from gameday.cli.terminal import block
from gameday.cli.words import duration, in_words, say, sentence, spoken
from gameday.core.units import seconds
from gameday.plan.blast_radius import log_in_words, touches
from gameday.spec.experiment import (
    AnyScenario,
    Bots,
    ByRate,
    ConstantArrivalRate,
    ConstantVus,
    Experiment,
    Population,
    RampingArrivalRate,
    Same,
    Zipf,
)
from gameday.spec.inputs import Inputs
from gameday.spec.translations import translated
from gameday.telemetry.failures import steady_state
from gameday.traffic.forecast import closed, expected_starts, sell_out_s, traffic_end_s

WIDTH = 40  # half of 80 columns: the fault's name and times stand beside it
_ASCII = str.maketrans(
    {"±": "+-", "·": ".", "█": "#", "–": "-", "…": "...", "→": "->", "µ": "u", "×": "x"}
)


class Page:
    """Sections of text for stdout; in a pipe, our own characters are all ASCII."""

    def __init__(self, console: SafeConsole | None = None) -> None:
        self._console = console or SafeConsole()

    def plain(self, text: str) -> str:
        """The text as it can be shown here."""
        shows_all = self._console.is_terminal and not self._console.options.ascii_only
        return text if shows_all else text.translate(_ASCII)

    def head(self, experiment: Experiment) -> None:
        """Name, title and hypothesis."""
        title = block(self.plain(translated(experiment.title, spoken())))
        self._console.print(joined(styled(experiment.name, "bold"), f"  {title}"))
        if experiment.hypothesis:
            self._console.print(
                styled(block(self.plain(translated(experiment.hypothesis, spoken()))), "italic")
            )

    def section(self, title: str, lines: Iterable[str], indent: int = 2) -> None:
        """A heading with lines below it; nothing where there are none. A tab sets a line deeper."""
        told = list(lines)
        if told:
            self._heading(title)
        for line in told:
            depth = indent + 4 * (len(line) - len(line.lstrip("\t")))
            text = block(self.plain(line.lstrip("\t")))
            self._console.print(Padding(text, (0, 0, 0, depth)))

    def timeline(self, experiment: Experiment) -> None:
        """One bar a fault; the whole width is the traffic."""
        if not experiment.method:
            return
        end_s = traffic_end_s(experiment)
        table = new_table(header=False, padding=(0, 1))
        for fault in experiment.method:
            begin_s, stop_s = seconds(fault.at), seconds(fault.at + fault.duration)
            before = round(begin_s / end_s * WIDTH)
            during = max(1, round(stop_s / end_s * WIDTH) - before)
            after = WIDTH - before - during
            around = self.plain("·")
            bar = joined(around * before, styled(self.plain("█") * during, "red"), around * after)
            table.add_row(f"  {fault.id}", bar, _span(begin_s, stop_s, end_s))
        self._heading(say("plan_timeline"))
        self._console.print(table)

    def table(self, title: str, table: Table) -> None:
        """A heading with a table below it."""
        self._heading(title)
        self._console.print(table)

    def last(self, text: str, style: str = "") -> None:
        """The line that sums it up."""
        self._console.print()
        self._console.print(styled(text, style))

    def _heading(self, title: str) -> None:
        self._console.print()
        self._console.print(styled(title, "bold"))


def draw(inputs: Inputs) -> None:
    """Print what the file says on stdout."""
    experiment = inputs.experiment.experiment
    page = Page()
    page.head(experiment)
    touched = touches(experiment, inputs.system.system)
    changes = ((each.fault, in_words(each.change.message())) for each in touched)
    for title, lines in (
        (say("plan_traffic"), traffic(inputs)),
        (
            sentence("show.steady_state"),
            (f"{each.name}: {each.expr}" for each in steady_state(experiment)),
        ),
        (say("plan_blast"), (f"{fault}: {change}" for fault, change in changes)),
        (say("plan_expected"), _expected(experiment)),
        (say("plan_stops"), guards(experiment)),
        (sentence("show.playbook"), _playbook(inputs)),
    ):
        page.section(title, lines)
    page.timeline(experiment)


def guards(experiment: Experiment) -> Iterator[str]:
    """What ends a run early."""
    for guard in experiment.abort_if:
        yield sentence("show.guard", expr=guard.expr, held=duration(guard.for_))


def _span(begin_s: float, stop_s: float, end_s: float) -> str:
    return sentence("show.span", begin_s=begin_s, stop_s=stop_s, end_s=end_s)


def traffic(inputs: Inputs) -> Iterator[str]:
    """Who asks when, for what."""
    experiment = inputs.experiment.experiment
    for name, scenario in experiment.traffic.items():
        yield f"{name}: {', '.join((_level(scenario), *_details(scenario)))}"
    campaign = experiment.campaign
    named = "coupon" in campaign.model_fields_set
    what = sentence("show.coupon", coupon=campaign.coupon) if named else ""
    yield sentence("show.amount", amount=_amount(experiment), what=what, last=campaign.users - 1)
    if campaign.stock is not None:
        yield sentence("show.stock", stock=campaign.stock, sell_out=_sell_out(inputs))


def _amount(experiment: Experiment) -> str:
    """The number of requests; virtual users ask as often as they are answered."""
    starts = sentence("show.requests", n=round(expected_starts(experiment)))
    asking = closed(experiment)
    if not asking:
        return starts
    free = sentence("show.free_requests", scenarios=", ".join(asking))
    if len(asking) == len(experiment.traffic):
        return free
    return sentence("show.some_free_requests", starts=starts, free=free)


def _sell_out(inputs: Inputs) -> str:
    experiment = inputs.experiment.experiment
    if closed(experiment):
        return sentence("show.sold_out_unknown")
    sold_out = sell_out_s(experiment, inputs.system.system.semantics)
    if sold_out is None:
        return sentence("show.never_sold_out")
    return sentence("show.sold_out", at_s=round(sold_out))


def _level(scenario: AnyScenario) -> str:
    """The rate, or the number of virtual users, and how it goes."""
    match scenario:
        case ConstantArrivalRate():
            return _constant(str(scenario.rate), scenario.duration)
        case ConstantVus():
            return _constant(_vus(scenario.vus), scenario.duration)
        case RampingArrivalRate():
            first = str(scenario.startRate)
        case _:
            first = _vus(scenario.startVUs)
    stages = (
        sentence("show.stage", target=str(stage.target), length=duration(stage.duration))
        for stage in scenario.stages
    )
    return ", ".join((first, *stages))


def _constant(level: str, length: timedelta) -> str:
    return sentence("show.constant", level=level, length=duration(length))


def _vus(count: int) -> str:
    return sentence("show.vu" if count == 1 else "show.vus", n=count)


def _details(scenario: AnyScenario) -> Iterator[str]:
    """Everything about a scenario that is not the default."""
    if scenario.startTime:
        yield sentence("show.start_time", at=duration(scenario.startTime))
    if isinstance(scenario, ByRate) and scenario.preAllocatedVUs is not None:
        first = scenario.preAllocatedVUs
        most = first if scenario.maxVUs is None else scenario.maxVUs
        if most == first:
            yield sentence("show.with_vus", vus=_vus(first))
        else:
            yield sentence("show.with_some_vus", first=first, vus=_vus(most))
    if scenario.sleep:
        yield sentence("show.sleep", length=duration(scenario.sleep))
    yield from _asking(scenario.population)
    for name, times in scenario.mix.items():
        yield sentence("show.mix", name=name, times=times)
    if scenario.retries is not None:
        yield sentence("show.retries", n=scenario.retries.at_most)


def _asking(population: Population) -> Iterator[str]:
    match population:
        case "once":
            yield sentence("show.once")
        case Zipf():
            yield sentence("show.zipf", zipf=population.zipf)
        case Bots():
            yield sentence("show.bots", bots=population.bots, share=population.share)
        case Same():
            yield sentence("show.same", n=population.same)
        case "uniform":
            pass


def _expected(experiment: Experiment) -> Iterator[str]:
    expect = experiment.expect
    checks = expect.checks
    named = sentence("show.checks_all") if isinstance(checks, str) else ", ".join(checks)
    yield sentence("show.checks", checks=named)
    for metric, texts in expect.threshold_texts.items():
        yield f"{metric}: {', '.join(texts)}"
    for alert in expect.alerts:
        name = {"alert": alert.alert}
        yield _within("show.alert", "resolves", alert.fires_within, alert.resolves_within, name)
    others = expect.other_alerts
    if isinstance(others, str):
        yield sentence(f"show.other_alerts_{others}")
    else:
        yield sentence("show.other_alerts", names=", ".join(others))
    if expect.recovers_within is not None:
        yield sentence("show.recovers", within=duration(expect.recovers_within))
    for each in expect.reactions:
        yield _within("show.reaction", "back", each.within, each.back_within, {"name": each.name})
    yield from (f"logs, {log_in_words(each)}" for each in expect.logs)


def _within(
    id_: str, over: str, within: timedelta, back: timedelta | None, named: Mapping[str, str]
) -> str:
    """What must come within a time, and be over within another, where that is asked for."""
    values = {**named, "within": duration(within)}
    if back is None:
        return sentence(id_, **values)
    return sentence(f"{id_}_{over}", **values, back=duration(back))


def _playbook(inputs: Inputs) -> Iterator[str]:
    if inputs.playbook is None:
        return
    playbook = inputs.playbook.playbook
    on = sentence("show.or").join(playbook.head.alerts)
    yield sentence("show.playbook_on", name=playbook.head.name, alerts=on)
    for step in playbook.steps:
        does = step.block.do or sentence("show.person")
        if step.block.undo:
            does = sentence("show.undone_by", does=does, undo=step.block.undo)
        yield f"{step.number}. {does}: {translated(step.text, spoken())}"
