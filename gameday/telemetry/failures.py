"""Failures: what counts as damage where an experiment's file does not speak of them.

A latency objective says nothing of a request that failed at once, so every file has an objective on
failures: its own, or an assumed one. It is false while more than a share of the answers (5 %) is
*unknown*: none came, or no outcome of the system file describes it, as a 500; or *unreached*: no
connection could be made, as with a service that is dead. An answer that the file names is never
one, a refusal neither: a service that turns people away on purpose is well.

The share is that of a window of 5 seconds, as the shipped objectives have it, and two failures in
one are no damage whatever they are a share of: of an idle second's two answers one is half.
A request that hangs fails when its time is up, and not before.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal

from gameday.core import settings
from gameday.core.errors import UsageError
from gameday.spec.experiment import Experiment, Objective
from gameday.spec.failures import Failures
from gameday.spec.inputs import Inputs
from gameday.telemetry.promql import PromqlError, parse
from gameday.telemetry.promql.labels import NAME
from gameday.telemetry.promql.nodes import Matcher, Selector, selectors
from gameday.traffic import thresholds

FailedOutcome = Literal["refused", "unknown", "unreached"]
"""Outcomes of starts that failed; `unreached` are those of the refused that nobody answered."""
FAILED: Final[Sequence[FailedOutcome]] = ["refused", "unknown"]
"""Those that k6's `http_req_failed` counts; what else is answered is as people expect it."""
NAMED: Final = "answered"
"""The name of the assumed objective; a number is added where the file has one of that name."""
WINDOW_S: Final = 5
FEWEST_PER_S: Final = 0.55
"""So many failures a second are too few to be damage: two in a window. A rate over samples of each
second is of four seconds or five, so two are 0.4 or 0.5 a second, and three are 0.6 or 0.75."""
_ANSWERS: Final = "k6_http_reqs_total"
_UNREACHED: Final = "k6_http_reqs_unreached_total"
# A word of the name, also of a recorded one (`job:errors:rate5m`); a failover is no failure.
_SPEAKING: Final = re.compile("(^|[_:])(errors?|fail(ed|ures?))([_:]|$)", re.IGNORECASE)
_STATUS_LABELS: Final = frozenset(
    {
        *("code", "status", "status_code", "statuscode", "http_status", "http_code"),
        *("http_status_code", "http_response_status_code", "response_code", "response_status"),
    }
)
"""Labels, in small letters, that hold the status of an answer; a `le` or `port` of 500 is none."""


def steady_state(experiment: Experiment) -> list[Objective]:
    """Every objective of a run: those of the file, and the assumed one."""
    assumed = assumed_objective(experiment)
    return [*experiment.objectives, *([] if assumed is None else [assumed])]


def assumed_objective(experiment: Experiment) -> Objective | None:
    """The objective on failures that the file does not write, None where there is none."""
    if not isinstance(experiment.failures, Failures):
        return None
    above, taken = experiment.failures.above, {each.name for each in experiment.objectives}
    name, number = NAMED, 2
    while name in taken:
        name, number = f"{NAMED}-{number}", number + 1
    unknown = f'sum(rate({_ANSWERS}{{outcome="unknown"}}[{WINDOW_S}s]))'
    failed = f"({unknown} + sum(rate({_UNREACHED}[{WINDOW_S}s])))"
    answers = f"clamp_min(sum(rate({_ANSWERS}[{WINDOW_S}s])), {FEWEST_PER_S / above:.6g})"
    return Objective(name=name, expr=f"{failed} / {answers} <= {above:g}")


def filled(experiment: Experiment) -> Experiment:
    """The experiment with `failures` as it is set, where its file does not speak of them."""
    if experiment.failures is not None or speaks_of_failures(experiment):
        return experiment
    above = settings.current()["damage.failures_above"]
    return experiment.model_copy(update={"failures": Failures(above=above)})


def filled_inputs(inputs: Inputs) -> Inputs:
    """The files of a run with that filled in."""
    loaded = inputs.experiment
    experiment = filled(loaded.experiment)
    return replace(inputs, experiment=replace(loaded, experiment=experiment))


def speaks_of_failures(experiment: Experiment) -> bool:
    """True if an objective or a threshold of the file is on failures."""
    if any(_fails_by(each) for each in _selectors(experiment)):
        return True
    for key in experiment.expect.thresholds:
        with suppress(UsageError):  # validating refuses it, with its place
            if _counts_failures(thresholds.parse_key(key)):
                return True
    return False


def failed_outcomes(experiment: Experiment) -> list[FailedOutcome]:
    """Outcomes of which a report says "failed": those that the objectives on failures count.

    Without such an objective they are those of k6's `http_req_failed`. Who reached nobody has
    failed whatever they count.
    """
    own = [each for each in _selectors(experiment) if each.name == _ANSWERS and _fails_by(each)]
    assumed: set[FailedOutcome] = (
        {"unknown"} if isinstance(experiment.failures, Failures) else set()
    )
    found = {name for name in FAILED for each in own if _accepts(each, "outcome", name)} | assumed
    return sorted({*(found or FAILED), "unreached"})


def _selectors(experiment: Experiment) -> Iterator[Selector]:
    for objective in experiment.objectives:
        with suppress(PromqlError):  # validating refuses it, with its place
            yield from selectors(parse(objective.expr).node)


def _fails_by(selector: Selector) -> bool:
    """True if what it selects are failures: of our own counter, or of one of the system's."""
    labels = [each for each in selector.matchers if each.name != NAME]
    if selector.name == _ANSWERS:
        chosen = [each for each in labels if each.name == "outcome"]
        return bool(chosen) and _accepts(selector, "outcome", "unknown")
    return bool(_SPEAKING.search(selector.name)) or any(map(_is_of_errors, labels))


def _accepts(selector: Selector, label: str, value: str) -> bool:
    chosen = [each for each in selector.matchers if each.name == label]
    return all(each.accepts(((label, value),)) for each in chosen)


def _is_of_errors(matcher: Matcher) -> bool:
    """True for a status that is 500 and not 200, as `code=~"5.."`."""
    if matcher.name.lower() not in _STATUS_LABELS:
        return False
    error, well = (matcher.accepts(((matcher.name, value),)) for value in ("500", "200"))
    return error and not well


def _counts_failures(key: thresholds.MetricKey) -> bool:
    if key.metric == "http_req_failed":
        return True
    if key.metric != "http_reqs":
        return False
    tags = key.tags
    of_errors = tags.get("status", "").startswith(("5", "0"))
    unexpected = tags.get("expected_response") == "false"
    return of_errors or unexpected or tags.get("outcome") == "unknown"
