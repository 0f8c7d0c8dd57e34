"""Rules about expressions: PromQL where a reading is meant, thresholds where a total is."""

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

from gameday.core.errors import FileError, UsageError
from gameday.spec.experiment import Threshold
from gameday.spec.faults.container import Partition
from gameday.spec.faults.service import ServiceFault
from gameday.spec.inputs import FileWarning, Findings, Inputs, LoadedPlaybook, LoadedSystem
from gameday.spec.yaml import Document, one_of_them
from gameday.traffic.thresholds import SERIES

if TYPE_CHECKING:
    from gameday.telemetry.promql import Query

Loc = tuple[str | int, ...]

TRAFFIC_METRICS = frozenset(
    f"{name}_{part}" if part else name
    for name in SERIES
    for part in (("bucket", "sum", "count") if name.endswith("_seconds") else ("",))
)
"""The series of the traffic, as the collector makes them from the history."""


def of_experiment(inputs: Inputs) -> Findings:
    """Objectives and guards are conditions; thresholds fit their metrics."""
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    texts = [each.expr for each in experiment.objectives]
    texts += [each.expr for each in experiment.abort_if]
    texts += [each.expr for each in experiment.expect.reactions]
    if much := _too_much(texts):
        which = "'objectives', 'abort_if' and 'reactions'"
        yield document.error(("objectives",), f"{which}: {much}")
        return
    for index, reaction in enumerate(experiment.expect.reactions):
        yield from _promql(document, ("expect", "reactions", index, "expr"), reaction.expr)
    for index, objective in enumerate(experiment.objectives):
        yield from _promql(document, ("objectives", index, "expr"), objective.expr)
    for index, guard in enumerate(experiment.abort_if):
        yield from _promql(document, ("abort_if", index, "expr"), guard.expr)
    for key, texts in experiment.expect.threshold_texts.items():
        yield from _thresholds(inputs, key, texts)
    for key, each in experiment.expect.thresholds.items():
        if "window:" in key.replace(" ", ""):
            yield from _is_judged_afterwards(document, key, each)
    yield from _guards_have_metrics(inputs)


def _tag_values(inputs: Inputs) -> dict[str, set[str]]:
    """Values that requests of this run can carry, by tag; tags with unknown values are left out."""
    from gameday.traffic.history import Outcome, Reason
    from gameday.traffic.metrics import (
        request_tags,  # with numpy, which untagged thresholds do not need
    )

    experiment, issue = inputs.experiment.experiment, inputs.system.system.requests.issue
    ids = [str(fault.id) for fault in experiment.method]
    shared = request_tags(issue.method, issue.path)
    return {
        "scenario": {*experiment.traffic, *ids},
        "outcome": {outcome.text for outcome in Outcome},
        "reason": {reason.text for reason in Reason},
        "window": window_names(ids),
        **{tag: {value} for tag, value in shared.items() if value},
    }


def window_names(faults: Iterable[str]) -> set[str]:
    """The stretches of a run that the faults with these ids make; see `evidence.model`."""
    ids = list(faults)
    around = {f"{word}-{id}" for id in ids for word in ("during", "after")}
    return {"before", *around} if ids else set()


def _is_judged_afterwards(
    document: Document, key: str, each: Sequence[str | Threshold]
) -> Findings:
    """Which request belongs to which window is known when the run is over."""
    for index, one in enumerate(each):
        if isinstance(one, Threshold) and one.abortOnFail:
            problem = f"'abortOnFail': {key!r} is judged after the run, so it cannot end it"
            loc = ("expect", "thresholds", key, index, "abortOnFail")
            yield document.error(loc, problem, help="write a guard under 'abort_if' instead")


def _guards_have_metrics(inputs: Inputs) -> Findings:
    """A fault of the service's process takes its metrics away, and blind guards stop the run."""
    document, experiment = inputs.experiment.document, inputs.experiment.experiment
    struck = [
        f
        for f in experiment.method
        if isinstance(f, ServiceFault | Partition) and f.on == "service"
    ]
    for index, guard in enumerate(experiment.abort_if if struck else ()):
        if guard.blind != "abort":
            continue
        metrics = _metrics(guard.expr, inputs)
        read = [name for name in metrics if not name.startswith("k6_") and name != "up"]
        if read:
            problem = f"'expr': {struck[0].id} takes {read[0]!r} away, and this guard aborts then"
            help = "add `blind: ignore`, or guard on k6_http_reqs_total"
            yield document.error(("abort_if", index, "expr"), problem, help=help)


def _metrics(text: str, inputs: Inputs) -> list[str]:
    """The metrics that an expression reads, also through what the rules record.

    There are none where it is told elsewhere that it is wrong.
    """
    from gameday.telemetry.alerts.rules import load_rules, metrics_behind
    from gameday.telemetry.promql import PromqlError, parse

    try:
        names = parse(text).metric_names()
    except PromqlError:
        return []
    return sorted(metrics_behind(names, [load_rules(path) for path in inputs.rules]))


def of_playbook(loaded: LoadedPlaybook) -> Findings:
    """The probes of every step are conditions."""
    blocks = [step.block for step in loaded.playbook.steps]
    if much := _too_much(each or "" for block in blocks for each in (block.before, block.after)):
        yield loaded.front.error((), f"the probes of the steps: {much}")
        return
    for step in loaded.playbook.steps:
        block = loaded.blocks[step.number]
        for key, probe in (("before", step.block.before), ("after", step.block.after)):
            if probe is not None:
                yield from _promql(block, (key,), probe)


def of_system(loaded: LoadedSystem) -> Findings:
    """`drain` is a condition, a dependency's latency a value."""
    document, system = loaded.document, loaded.system
    scaler = [] if system.autoscaler is None else [system.autoscaler.expr]
    if much := _too_much([*system.dependencies.values(), *scaler]):
        yield document.error(("dependencies",), f"'dependencies': {much}")
        return
    for expr in scaler:
        yield from _promql(document, ("autoscaler", "expr"), expr, is_condition=False)
    if system.drain is not None:
        yield from _promql(document, ("drain", "expr"), system.drain.expr)
    for service, expr in system.dependencies.items():
        yield from _promql(document, ("dependencies", service), expr, is_condition=False)
        if service not in system.proxies:
            text = f"'dependencies': {service!r} is not a service under 'proxies'"
            yield FileWarning(document.place("dependencies", service), text)


def _too_much(texts: Iterable[str]) -> str:
    """Why so many expressions are not read, "" where they are."""
    texts = list(texts)
    length = sum(map(len, texts))
    if not length:
        return ""
    from gameday.telemetry.promql import MOST_INSTANTS_TOGETHER, MOST_TOGETHER

    if length > MOST_TOGETHER:
        return f"{length} characters of PromQL are more than {MOST_TOGETHER}"
    instants = sum(_instants(text) for text in texts if "[" in text and ":" in text)
    if instants > MOST_INSTANTS_TOGETHER:
        return f"{instants} instants of subqueries are more than {MOST_INSTANTS_TOGETHER}"
    return ""


def _instants(text: str) -> int:
    from gameday.telemetry.promql import PromqlError, parse

    try:
        return parse(text).instants
    except PromqlError:
        return 0  # told with its place


def _promql(document: Document, loc: Loc, text: str, *, is_condition: bool = True) -> Findings:
    from gameday.telemetry.promql import PromqlError, parse

    try:
        query = parse(text)
    except PromqlError as error:
        yield document.error(loc, f"{loc[-1]!r}: {error.message}", help=error.help)
        return
    yield from _unknown_traffic_metrics(document, loc, query.metric_names())
    if is_condition:
        yield from _compares(document, loc, query)


def of_question(
    document: Document, loc: Loc, text: str
) -> Generator[FileError | FileWarning, None, bool]:
    """What is wrong with a condition that is asked while no run is under way; True if it is one."""
    from gameday.telemetry.promql import PromqlError, parse

    try:
        query = parse(text)
    except PromqlError as error:
        yield document.error(loc, f"{loc[-1]!r}: {error.message}", help=error.help)
        return False
    own = sorted(name for name in query.metric_names() if name.startswith("k6_"))
    if own:
        problem = f"{loc[-1]!r}: {own[0]!r} is a metric of a run's traffic, and no run is under way"
        yield document.error(loc, problem, help="ask for a metric of the system")
    yield from _compares(document, loc, query)
    return True


def _compares(document: Document, loc: Loc, query: "Query") -> Findings:
    if not query.is_condition:
        text = f"{loc[-1]!r}: compares nothing: it is true whenever a value is not 0"
        yield FileWarning(document.place(*loc), text)


def _unknown_traffic_metrics(document: Document, loc: Loc, names: Iterable[str]) -> Findings:
    """A misspelt metric of the traffic would have no data for the whole run."""
    for name in sorted(names):
        if name.startswith("k6_") and name not in TRAFFIC_METRICS:
            problem = f"{loc[-1]!r}: unknown traffic metric {name!r}"
            yield document.error(loc, problem, help=one_of_them(name, TRAFFIC_METRICS))


def _thresholds(inputs: Inputs, key: str, texts: list[str]) -> Findings:
    from gameday.traffic.thresholds import check_metric, parse_key

    document = inputs.experiment.document
    loc = ("expect", "thresholds", key)
    try:
        check_metric(key, [])
    except UsageError as error:
        yield document.error(loc, error.message, help=error.help)
        return
    if not texts:
        yield document.error(loc, f"{key!r}: must not be empty")
    yield from _each_threshold(document, loc, texts)
    tags = parse_key(key).tags
    known = _tag_values(inputs) if tags else {}
    for tag, value in tags.items():
        if tag in known and value not in known[tag]:
            problem = f"{key!r}: there is no {tag} {value!r}"
            nothing = "there is no fault, so there are no windows: drop the tag"
            yield document.error(loc, problem, help=one_of_them(value, known[tag]) or nothing)


def _each_threshold(document: Document, loc: tuple[str, str, str], texts: list[str]) -> Findings:
    from gameday.traffic.thresholds import check_metric

    for index, text in enumerate(texts):
        try:
            check_metric(loc[-1], [text])
        except UsageError as error:
            place = document.place(*loc, index, "threshold")
            yield FileError(place, error.message, help=error.help)
