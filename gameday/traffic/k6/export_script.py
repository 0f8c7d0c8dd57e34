"""An experiment's traffic as a script for k6: the same scenarios, request, sleep and thresholds.

k6 has no word for three things, and a scenario's `env` keeps them for the way back: that virtual
users have no limit (k6 needs one, so as many are allowed as the peak takes for a second), the
population, and retries. The script draws users uniformly; another population is noted.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from gameday.core.errors import UsageError
from gameday.core.json_objects import plain
from gameday.core.network.urls import at
from gameday.core.units import format_duration, seconds
from gameday.spec.experiment import (
    AnyScenario,
    ByRate,
    ConstantArrivalRate,
    ConstantVus,
    Experiment,
    RampingArrivalRate,
    Threshold,
)
from gameday.spec.request import IssueRequest
from gameday.spec.system import System
from gameday.traffic.k6.scenarios import EXTRAS, WrittenScenario, WrittenStage, WrittenThreshold
from gameday.traffic.k6.units import whole_rates
from gameday.traffic.thresholds import OWN_TAGS, parse_key

_ANSWER_S: Final = 1.0
"""The slowest answer for which virtual users are enough, where the experiment has no limit."""
_DEFAULT_GRACE_S: Final = 30.0  # k6's default of gracefulStop
_OURS: Final = frozenset({"http_req_duration_intended"})
_SLOT: Final = re.compile(r"\{\{|\}\}|\{([a-z]+(?::[a-z0-9]+)?)\}")
_GOOD: Final = ("issued", "duplicate", "sold_out", "accepted")


@dataclass(slots=True)
class Exported:
    """The script, and what k6 has no word for."""

    script: str = ""
    notes: list[str] = field(default_factory=list)


def export_script(experiment: Experiment, system: System) -> Exported:
    """The script that sends what the experiment's traffic asks for.

    Raises UsageError where that is more than one request, or asks for users of a file.
    """
    _must_be_one_request(system)
    found = Exported()
    scenarios = {
        name: _scenario(name, spec, found.notes) for name, spec in experiment.traffic.items()
    }
    options = {"scenarios": scenarios, "thresholds": _thresholds(experiment, found.notes)}
    request = _request(experiment, system, found.notes)
    pauses = {_function(spec): seconds(spec.sleep) for spec in experiment.traffic.values()}
    functions = "".join(
        f"\nexport function {name}() {{ iteration({_js(pause)}); }}\n"
        for name, pause in pauses.items()
    )
    found.notes.extend(_lost(experiment))
    head = [f"The traffic of the gameday experiment {experiment.name!r}.", *found.notes]
    comments = "".join(f"// {line}\n" for line in head)
    found.script = (
        f"{comments}{_IMPORTS}\nexport const options = {_js(options)};\n{request}{functions}"
    )
    return found


_IMPORTS: Final = "import http from 'k6/http';\nimport { sleep } from 'k6';\n"


def _js(value: object) -> str:
    """JSON is JavaScript but for two line ends, which json escapes."""
    return json.dumps(plain(value), indent=2)


def _function(spec: AnyScenario) -> str:
    """The function of a scenario: they differ in their pause only."""
    pause_us = spec.sleep // timedelta(microseconds=1)
    return f"pause_{pause_us}us" if pause_us else "once"


def _scenario(name: str, spec: AnyScenario, notes: list[str]) -> WrittenScenario:
    made = _levels(spec)
    made.exec = _function(spec)
    if spec.startTime:
        made.startTime = format_duration(spec.startTime)
    if seconds(spec.gracefulStop) != _DEFAULT_GRACE_S:
        made.gracefulStop = format_duration(spec.gracefulStop)
    dumped = spec.model_dump(mode="json", include={"population", "retries"}, exclude_none=True)
    extras = {key: value for key, value in dumped.items() if value != "uniform"}
    if isinstance(spec, ByRate):
        made.preAllocatedVUs, made.maxVUs = spec.preAllocatedVUs, spec.maxVUs
        if spec.preAllocatedVUs is None:
            made.preAllocatedVUs, made.maxVUs = _enough(name, spec, notes), None
            extras = {"limit": False, **extras}
    if extras:
        made.env = {EXTRAS: json.dumps(extras)}
    return made


def _levels(spec: AnyScenario) -> WrittenScenario:
    """The rates, or numbers of virtual users, over time, as k6 writes them."""
    made = WrittenScenario(executor=spec.executor)
    if isinstance(spec, ConstantArrivalRate):
        (made.rate,), made.timeUnit = whole_rates([spec.rate])
        made.duration = format_duration(spec.duration)
        return made
    if isinstance(spec, ConstantVus):
        made.vus, made.duration = spec.vus, format_duration(spec.duration)
        return made
    lengths = [format_duration(stage.duration) for stage in spec.stages]
    if isinstance(spec, RampingArrivalRate):
        rates = [spec.startRate, *(stage.target for stage in spec.stages)]
        (made.startRate, *targets), made.timeUnit = whole_rates(rates)
    else:
        made.startVUs, targets = spec.startVUs, [stage.target for stage in spec.stages]
        if seconds(spec.gracefulRampDown) != _DEFAULT_GRACE_S:
            made.gracefulRampDown = format_duration(spec.gracefulRampDown)
    made.stages = list(map(WrittenStage, targets, lengths))
    return made


def _enough(name: str, spec: ByRate, notes: list[str]) -> int:
    """Virtual users where there is no limit: k6 needs one, and drops starts beyond it."""
    enough = max(1, math.ceil(_peak_per_s(spec) * (seconds(spec.sleep) + _ANSWER_S)))
    notes.append(
        f"Scenario {name!r} has no limit of virtual users, and k6 needs one: {enough} are enough "
        f"for answers within {_ANSWER_S:g} s."
    )
    return enough


def _peak_per_s(spec: ByRate) -> float:
    if isinstance(spec, ConstantArrivalRate):
        return spec.rate.per_s
    if isinstance(spec, RampingArrivalRate):
        return max(spec.startRate.per_s, *(stage.target.per_s for stage in spec.stages))
    return 0.0


def _thresholds(
    experiment: Experiment, notes: list[str]
) -> dict[str, list[str | WrittenThreshold]]:
    """Thresholds on what k6 measures, too."""
    found: dict[str, list[str | WrittenThreshold]] = {}
    for key, texts in experiment.expect.thresholds.items():
        asked = parse_key(key)
        if asked.metric in _OURS or not asked.tags.keys().isdisjoint(OWN_TAGS):
            notes.append(f"The threshold on {key} is gameday's own; k6 does not measure that.")
            continue
        found[key] = [_threshold(one) for one in texts]
    return found


def _threshold(one: str | Threshold) -> str | WrittenThreshold:
    if isinstance(one, str):
        return one
    late = format_duration(one.delayAbortEval) if one.delayAbortEval else None
    return WrittenThreshold(
        threshold=one.threshold, abortOnFail=one.abortOnFail, delayAbortEval=late
    )


def _must_be_one_request(system: System) -> None:
    requests = system.requests
    named = {
        "users": system.users is not None,
        "requests.before": bool(requests.before),
        "requests.cookies": requests.cookies,
        "requests.issue.poll": requests.issue.poll is not None,
    }
    for key in (key for key, is_there in named.items() if is_there):
        problem = f"{key!r}: no script of k6 is made of a system with it"
        raise UsageError(problem, help="export a system file without it, and add it by hand")


def _lost(experiment: Experiment) -> Iterable[str]:
    for name, spec in experiment.traffic.items():
        if spec.population != "uniform":
            yield f"Scenario {name!r}: users are drawn uniformly here, not as its population says."
        if spec.retries is not None:
            yield f"Scenario {name!r}: what gets no answer is not asked again here."


def _request(experiment: Experiment, system: System, notes: list[str]) -> str:
    issue = system.requests.issue
    headers = {"Content-Type": "application/json"} if issue.json_ is not None else {}
    for name, value in issue.headers.items():
        if isinstance(value, str):
            headers[name] = value
        else:
            notes.append(f"Header {name!r} is a secret; give it with k6 run -e {_env(name)}=….")
    asked = json.dumps(issue.model_dump(mode="json", by_alias=True))
    if "{user:uuid}" in asked:
        notes.append("A user's UUID is made of the user's number here, not of the seed.")
    if "{iteration" in asked:
        notes.append("{iteration} counts the iterations of each virtual user here.")
    body = _body(issue)
    params = (
        f"headers: {_headers(headers, issue)}, timeout: {_js(format_duration(issue.timeout))}, "
        f"responseCallback: {_expected(issue)}"
    )
    lines = [
        f"  const url = {_template(_url(system), 'encodeURIComponent')};",
        f"  const body = {body};",
        f"  const params = {{ {params} }};",
        f"  http.request({_js(issue.method)}, url, body, params);",
        "  if (pause > 0) sleep(pause);",
    ]
    campaign = experiment.campaign
    values = [
        f"  const user = Math.floor(Math.random() * {campaign.users});",
        f"  const coupon = {_js(campaign.coupon)};",
        f"  const stock = {_js(campaign.stock)};",
        "  const run = 'k6';",
        "  const key = `${run}-${__VU}-${__ITER}`;",
        "  const attempt = `${key}-1`;",
    ]
    needed = _needed(values, "\n".join(lines))
    return "\n".join(["\nfunction iteration(pause) {", *needed, *lines, "}\n"])


def _body(issue: IssueRequest) -> str:
    if issue.form is not None:  # k6 sends an object as a form
        return _value(dict(issue.form))
    if issue.text is not None:
        return _template(issue.text)
    return "null" if issue.json_ is None else f"JSON.stringify({_value(issue.json_)})"


def _needed(values: list[str], used: str) -> list[str]:
    """The values that the lines use, and those that they use in turn, in their order."""
    kept: list[str] = []
    text = used
    for line in reversed(values):
        if re.search(rf"(?<![\w'\"]){line.split()[1]}\b(?!['\"]?:)", text):
            kept.insert(0, line)
            text += line
    return kept


def _url(system: System) -> str:
    issue = system.requests.issue
    pairs = "&".join(f"{name}={value}" for name, value in issue.query.items())
    separator = "&" if "?" in issue.path else "?"
    return at(system.base_url, issue.path) + (separator + pairs if pairs else "")


def _template(text: str, escape: str = "") -> str:
    """Text with placeholders as a JavaScript template."""

    def literal(part: str) -> str:
        return part.replace("\\", "\\\\").replace("`", "\\`").replace("$", "\\$")

    made, at = [], 0
    for match in _SLOT.finditer(text):
        made.append(literal(text[at : match.start()]))
        name = match[1]
        made.append(match[0][0] if name is None else "${" + _escaped(_slot(name), escape) + "}")
        at = match.end()
    return "`" + "".join([*made, literal(text[at:])]) + "`"


def _escaped(expression: str, escape: str) -> str:
    return f"{escape}({expression})" if escape else expression


def _slot(placeholder: str) -> str:
    """A placeholder as a JavaScript expression."""
    name, _, format_ = placeholder.partition(":")
    if name == "iteration":
        name = "__ITER"
    if format_ == "uuid":
        return f"'00000000-0000-4000-8000-' + String({name}).padStart(12, '0')"
    if format_.startswith("0"):
        return f"String({name}).padStart({format_[1:-1]}, '0')"
    return f"String({name})" if format_ == "s" else name


def _value(value: object) -> str:
    """A JSON value with placeholders as a JavaScript expression."""
    if isinstance(value, str):
        alone = _SLOT.fullmatch(value)
        if alone is not None and alone[1]:
            return _slot(alone[1])
        return _template(value) if _SLOT.search(value) else _js(value)
    if isinstance(value, Mapping):
        pairs = (f"{_key(name)}: {_value(inner)}" for name, inner in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(inner) for inner in value) + "]"
    return _js(value)


def _key(name: str) -> str:
    return f"[{_template(name)}]" if _SLOT.search(name) else _js(name)


def _headers(headers: Mapping[str, str], issue: IssueRequest) -> str:
    pairs = [f"{_js(name)}: {_value(value)}" for name, value in headers.items()]
    for name, value in issue.headers.items():
        if not isinstance(value, str):
            pairs.append(f"{_js(name)}: __ENV.{_env(name)}")
    return "{ " + ", ".join(pairs) + " }"


def _env(header: str) -> str:
    return re.sub(r"\W", "_", header).upper()


def _expected(issue: IssueRequest) -> str:
    """The statuses of the outcomes that are answers; k6 sees no more than the status."""
    statuses: set[int] = set()
    for name, match in issue.outcomes.items():
        if name in _GOOD:
            statuses.update(match.statuses)
    return f"http.expectedStatuses({', '.join(str(status) for status in sorted(statuses))})"
