"""An experiment for the eye: what is asked, when what breaks, what should be seen.

`gameday show` draws the file; `gameday plan` draws what a run of it would touch, with the same
sections where both tell the same.
"""

from collections.abc import Iterable, Iterator

from rich.padding import Padding
from rich.table import Table

from gameday.cli.drawing import SafeConsole, joined, styled
from gameday.cli.drawing import table as new_table
from gameday.cli.terminal import block
from gameday.cli.words import say, spoken
from gameday.core.units import format_duration, seconds
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
            table.add_row(f"  {fault.id}", bar, f"{begin_s:g} to {stop_s:g} of {end_s:g} s")
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
    for title, lines in (
        ("traffic", traffic(experiment)),
        ("steady state", (f"{each.name}: {each.expr}" for each in experiment.objectives)),
        ("blast radius", (f"{each.fault}: {each.what}" for each in touched)),
        ("expected", _expected(experiment)),
        (
            "stops early when",
            (f"{guard.expr}, for {format_duration(guard.for_)}" for guard in experiment.abort_if),
        ),
        ("playbook", _playbook(inputs)),
    ):
        page.section(title, lines)
    page.timeline(experiment)


def traffic(experiment: Experiment) -> Iterator[str]:
    """Who asks when, for what."""
    for name, scenario in experiment.traffic.items():
        yield f"{name}: {', '.join((_level(scenario), *_details(scenario)))}"
    campaign = experiment.campaign
    users = f"users 0 to {campaign.users - 1}"
    what = f" for {campaign.coupon}" if "coupon" in campaign.model_fields_set else ""
    yield f"{_amount(experiment)}{what}, {users}"
    if campaign.stock is not None:
        yield f"{campaign.stock} coupons: {_sell_out(experiment)}"


def _amount(experiment: Experiment) -> str:
    """The number of requests; virtual users ask as often as they are answered."""
    starts = f"{expected_starts(experiment):.0f} requests"
    asking = closed(experiment)
    if not asking:
        return starts
    free = f"as many requests as virtual users get answered ({', '.join(asking)})"
    return free if len(asking) == len(experiment.traffic) else f"{starts}, and {free},"


def _sell_out(experiment: Experiment) -> str:
    if closed(experiment):
        return "when they are gone depends on how fast virtual users are answered"
    sold_out = sell_out_s(experiment)
    return "not all of them go" if sold_out is None else f"gone at about {sold_out:.0f} s"


def _level(scenario: AnyScenario) -> str:
    """The rate, or the number of virtual users, and how it goes."""
    match scenario:
        case ConstantArrivalRate():
            return f"{scenario.rate} for {format_duration(scenario.duration)}"
        case ConstantVus():
            return f"{_vus(scenario.vus)} for {format_duration(scenario.duration)}"
        case RampingArrivalRate():
            first = str(scenario.startRate)
        case _:
            first = _vus(scenario.startVUs)
    stages = (
        f"to {stage.target} in {format_duration(stage.duration)}" for stage in scenario.stages
    )
    return ", ".join((first, *stages))


def _vus(count: int) -> str:
    return f"{count} VU{'' if count == 1 else 's'}"


def _details(scenario: AnyScenario) -> Iterator[str]:
    """Everything about a scenario that is not the default."""
    if scenario.startTime:
        yield f"from {format_duration(scenario.startTime)}"
    if isinstance(scenario, ByRate) and scenario.preAllocatedVUs is not None:
        first = scenario.preAllocatedVUs
        most = first if scenario.maxVUs is None else scenario.maxVUs
        yield f"with {_vus(first)}" if most == first else f"with {first} to {_vus(most)}"
    if scenario.sleep:
        yield f"each sleeps {format_duration(scenario.sleep)} after an answer"
    yield from _asking(scenario.population)
    if scenario.retries is not None:
        yield f"asks again after a timeout, at most {scenario.retries.at_most} times"


def _asking(population: Population) -> Iterator[str]:
    match population:
        case "once":
            yield "each user at most once"
        case Zipf():
            yield f"users by Zipf's law ({population.zipf:g})"
        case Bots():
            yield f"{population.bots} users make {population.share:.0%} of them"
        case Same():
            yield f"each user {population.same} times at once"
        case "uniform":
            pass


def _expected(experiment: Experiment) -> Iterator[str]:
    expect = experiment.expect
    checks = expect.checks
    yield f"checks: {checks if isinstance(checks, str) else ', '.join(checks)}"
    for metric, texts in expect.threshold_texts.items():
        yield f"{metric}: {', '.join(texts)}"
    for alert in expect.alerts:
        resolves = alert.resolves_within
        after = f", resolves within {format_duration(resolves)}" if resolves is not None else ""
        yield f"{alert.alert} fires within {format_duration(alert.fires_within)}{after}"
    others = expect.other_alerts
    yield f"other alerts: {others if isinstance(others, str) else ', '.join(others) + ' allowed'}"
    if expect.recovers_within is not None:
        yield f"recovers within {format_duration(expect.recovers_within)}"
    for reaction in expect.reactions:
        back = reaction.back_within
        after = "" if back is None else f", is over {format_duration(back)} after the fault"
        yield f"{reaction.name} within {format_duration(reaction.within)}{after}"
    yield from (f"logs, {log_in_words(each)}" for each in expect.logs)


def _playbook(inputs: Inputs) -> Iterator[str]:
    if inputs.playbook is None:
        return
    playbook = inputs.playbook.playbook
    yield f"{playbook.head.name}, on {' or '.join(playbook.head.alerts)}"
    for step in playbook.steps:
        undo = f", undone by {step.block.undo}" if step.block.undo else ""
        yield f"{step.number}. {step.block.do or 'a person'}{undo}: {step.text}"
