"""An experiment for the eye: what is asked, when what breaks, what should be seen."""

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gameday.changes import Change
from gameday.experiment import ConstantArrivalRate, Experiment, RampingArrivalRate
from gameday.loading import Inputs, expected_starts, sell_out_s, traffic_end_s
from gameday.units import format_duration, seconds

WIDTH = 40


def draw(inputs: Inputs) -> None:
    """Print it on stdout."""
    experiment = inputs.experiment.experiment
    console = Console(highlight=False)
    console.print(f"[bold]{escape(experiment.name)}[/]  {escape(experiment.title)}")
    if experiment.hypothesis:
        console.print(f"[italic]{escape(experiment.hypothesis)}[/]")
    for title, lines in (
        ("traffic", _traffic(experiment)),
        ("steady state", (f"{each.name}: {each.expr}" for each in experiment.objectives)),
        ("blast radius", _blast_radius(experiment)),
        ("expected", _expected(experiment)),
        ("stops early when", _guards(experiment)),
        ("playbook", _playbook(inputs)),
    ):
        _section(console, title, list(lines))
    if experiment.method:
        console.print("\n[bold]timeline[/]")
        console.print(_timeline(experiment))


def _section(console: Console, title: str, lines: list[str]) -> None:
    if lines:
        console.print(f"\n[bold]{title}[/]")
    for line in lines:
        console.print(Padding(escape(line), (0, 0, 0, 2)))


def _traffic(experiment: Experiment) -> Iterator[str]:
    for name, scenario in experiment.traffic.items():
        yield f"{name}: {_rates(scenario)}"
    campaign = experiment.campaign
    users = f"users 0 to {campaign.users - 1}"
    yield f"{expected_starts(experiment):.0f} requests for {campaign.coupon}, {users}"
    sold_out = sell_out_s(experiment)
    if campaign.stock is not None:
        when = "not all of them go" if sold_out is None else f"gone at about {sold_out:.0f} s"
        yield f"{campaign.stock} coupons: {when}"


def _rates(scenario: ConstantArrivalRate | RampingArrivalRate) -> str:
    late = f", from {format_duration(scenario.startTime)}" if scenario.startTime else ""
    if isinstance(scenario, ConstantArrivalRate):
        return f"{scenario.rate} for {format_duration(scenario.duration)}{late}"
    stages = (
        f"to {stage.target} in {format_duration(stage.duration)}" for stage in scenario.stages
    )
    return f"{scenario.startRate}, {', '.join(stages)}{late}"


def _blast_radius(experiment: Experiment) -> Iterator[str]:
    """What will be altered, by the records that will alter it."""
    for fault in experiment.method:
        for change in fault.changes():
            yield f"{fault.id}: {_words(change)}"


def _words(change: Change) -> str:
    data = change.data
    if change.kind == "toxic":
        attributes = ", ".join(f"{name} {value}" for name, value in data["attributes"].items())
        return f"toxic {data['type']} ({attributes}) on proxy of {data['proxy']}, {data['stream']}"
    if change.kind == "proxy":
        return f"proxy of {data['proxy']} refuses connections"
    if change.kind == "traffic":
        return f"{data['rate_per_s']:g} more requests a second for {data['duration_s']:g} s"
    return f"{change.kind} " + ", ".join(f"{key} {value}" for key, value in data.items())


def _expected(experiment: Experiment) -> Iterator[str]:
    expect = experiment.expect
    checks = expect.checks
    yield f"checks: {checks if isinstance(checks, str) else ', '.join(checks)}"
    for metric, texts in expect.thresholds.items():
        yield f"{metric}: {', '.join(texts)}"
    for alert in expect.alerts:
        resolves = alert.resolves_within
        after = f", resolves within {format_duration(resolves)}" if resolves is not None else ""
        yield f"{alert.alert} fires within {format_duration(alert.fires_within)}{after}"
    others = expect.other_alerts
    yield f"other alerts: {others if isinstance(others, str) else ', '.join(others) + ' allowed'}"
    if expect.recovers_within is not None:
        yield f"recovers within {format_duration(expect.recovers_within)}"


def _guards(experiment: Experiment) -> Iterator[str]:
    for guard in experiment.abort_if:
        yield f"{guard.expr}, for {format_duration(guard.for_)}"


def _playbook(inputs: Inputs) -> Iterator[str]:
    if inputs.playbook is None:
        return
    playbook = inputs.playbook.playbook
    yield f"{playbook.head.name}, on {' or '.join(playbook.head.alerts)}"
    for step in playbook.steps:
        undo = f", undone by {step.block.undo}" if step.block.undo else ""
        yield f"{step.number}. {step.block.do or 'a person'}{undo}: {step.text}"


def _timeline(experiment: Experiment) -> Table:
    """One bar a fault; the whole width is the traffic."""
    end_s = traffic_end_s(experiment)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    for fault in experiment.method:
        begin_s, stop_s = seconds(fault.at), seconds(fault.at + fault.duration)
        before = round(begin_s / end_s * WIDTH)
        during = max(1, round(stop_s / end_s * WIDTH) - before)
        bar = Text("·" * before + "█" * during + "·" * (WIDTH - before - during))
        bar.stylize("red", before, before + during)
        table.add_row(f"  {fault.id}", bar, f"{begin_s:g} to {stop_s:g} of {end_s:g} s")
    return table
