"""The two files, as text: short, commented, and read back before anybody sees them.

Values are written by the YAML library, comments by `safe`: nothing that a server or a document
said can end a line or begin a key.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from gameday.plan.first_files.sketch import (
    FIRST,
    STOCK,
    USERS,
    OutcomeSketch,
    Sketch,
    StoreSketch,
    safe,
)

_COLUMN: Final = 45
_DEFAULT_REFUSED: Final = [400, 401, 403, 404, 422, 429]
_FAST: Final = (
    "histogram_quantile(0.95, sum by (le) (rate(k6_http_req_duration_seconds_bucket[5s]))) < 0.5"
)


def flow(value: Any) -> str:
    """A value as YAML on one line; what cannot be printed is escaped."""
    plain = json.dumps(value, ensure_ascii=False).isprintable()
    text: str = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=plain, sort_keys=False, width=1 << 20
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _line(text: str, comment: str = "") -> str:
    return f"{text:<{_COLUMN}} # {comment}" if comment else text


def outcomes_with_defaults(sketch: Sketch) -> list[OutcomeSketch]:
    """The outcomes that are written: those that are known, and what HTTP itself promises."""
    found = list(sketch.outcomes)
    if not any(each.name in ("issued", "accepted") for each in found):
        name = "issued" if sketch.audit else "accepted"
        found.insert(0, OutcomeSketch(name=name, match={"status": "2xx"}, why="not tried yet"))
    if not any(each.name == "refused" for each in found):
        plain = [each.match["status"] for each in found if len(each.match) == 1]
        statuses = [status for status in _DEFAULT_REFUSED if status not in plain]
        why = "certainly without effect; take out what may have one"
        found.append(OutcomeSketch(name="refused", match={"status": statuses}, why=why))
    return found


def system_text(sketch: Sketch, environment: Mapping[str, str]) -> str:
    """The system file. `environment` says which variables are there already."""
    return "\n".join(_system(sketch, environment)) + "\n"


def _system(sketch: Sketch, environment: Mapping[str, str]) -> Iterator[str]:
    yield f"# Made by `gameday init` {safe(sketch.source)}."
    yield "# A key that is new to you: gameday explain KEY"
    yield f"name: {flow(sketch.name)}"
    yield f"base_url: {flow(sketch.base_url)}"
    yield "requests:"
    yield _line("  issue:", "the request that the traffic is made of")
    yield from _request(sketch)
    yield from _capture(sketch)
    yield _line("    outcomes:", "the first that matches wins; what matches none may have happened")
    outcomes = outcomes_with_defaults(sketch)
    for each in outcomes:
        yield _line(f"      {each.name}: {flow(dict(each.match))}", each.why)
    names = {each.name for each in outcomes}
    if not {"sold_out", "duplicate"} <= names:
        yield '      # What says "all gone", and what "has one already"? Until then: unknown.'
    if "sold_out" not in names:
        yield "      # sold_out: {status: 409, json: {code: SOLD_OUT}}"
    if "duplicate" not in names:
        yield "      # duplicate: {status: 409, json: {code: DUPLICATE}}"
    yield from _semantics(sketch)
    yield from _campaign(sketch)
    yield from _audit(sketch)
    yield from _stores(sketch, environment)


def _request(sketch: Sketch) -> Iterator[str]:
    request = sketch.request
    guessed = ", ".join(request.guessed)
    yield _line(f"    {request.method}: {flow(request.path)}")
    if request.query:
        yield f"    query: {flow(dict(request.query))}"
    headers: Any = dict(request.headers)
    headers |= {name: {"env": variable} for name, variable in request.secret_headers.items()}
    if headers:
        yield f"    headers: {flow(headers)}"
    if request.body is not None:
        yield _line(f"    {request.body.form}: {flow(request.body.value)}")
    if guessed:
        yield f"    # guessed, put values of yours: {safe(guessed)}"
    yield "    timeout: 10s"


def _capture(sketch: Sketch) -> Iterator[str]:
    if sketch.capture:
        yield _line(
            f"    capture: {flow(dict(sketch.capture))}", "values of the answer that are kept"
        )


def _semantics(sketch: Sketch) -> Iterator[str]:
    if sketch.semantics:
        yield _line(f"semantics: {flow(dict(sketch.semantics))}", "seen: the same user asked twice")
    if sketch.audit and "per_user" not in sketch.semantics:
        yield "# One for each user (`per_user: one`) is the default. Where people may hold several:"
        more = {**sketch.semantics, "per_user": "many"}
        yield f"# semantics: {flow(more)}         or a number instead of many"
    if sketch.audit:
        yield "# No reservation outlives its answer? Then a coupon that nobody got is no excuse for"
        more = {**sketch.semantics, "holds": "strict"}
        yield f'# having told people "all gone": semantics: {flow(more)}'


def _campaign(sketch: Sketch) -> Iterator[str]:
    if sketch.campaign is not None:
        yield _line(f"campaign: {flow(dict(sketch.campaign))}", "makes a fresh one for each run")


def _audit(sketch: Sketch) -> Iterator[str]:
    if sketch.audit:
        headers = {name: {"env": variable} for name, variable in sketch.audit_secrets.items()}
        audit: Any = {"get": sketch.audit, **({"headers": headers} if headers else {})}
        audit |= sketch.audit_keys
        if sketch.used:
            yield "# The campaign is used: init's own request got one of it. A run that is judged"
            yield "# by the audit wants a fresh one: take the # before `audit` away once there is"
            if sketch.names_coupon:
                yield f"# another `coupon` in {FIRST}.yaml, or"
            yield "# a request that makes a campaign for each run, or one that makes it as it was"
            yield "# (`accepted` above is `issued` then):"
            yield '# campaign: {post: /sales, json: {code: "{coupon}", stock: "{stock}"}}'
            yield "# before_run: [{post: /admin/reset}]"
            yield f"# audit: {flow(audit)}"
            return
        yield _line(f"audit: {flow(audit)}", "who got one, as it was stored")
        return
    yield "# Without `audit` nothing about issuance is checked: not how many, nor to whom."
    yield "# With one, `accepted` above becomes `issued`. Its form: docs/own-system.md"
    yield '# audit: {get: "/audit/{coupon}"}'


def _stores(sketch: Sketch, environment: Mapping[str, str]) -> Iterator[str]:
    stores = () if sketch.project is None else sketch.project.stores
    if not stores:
        return
    live = all(each.variable in environment for each in stores)
    before = "" if live else "# "
    if not live:
        yield "# For faults of the stores themselves; the login is that of your compose file:"
        yield from (f"#   export {each.variable}={safe(each.address)}" for each in stores)
    yield f"{before}stores:"
    for each in stores:
        yield f"{before}  {each.kind}: {flow({_address_key(each): {'env': each.variable}})}"


def _address_key(store: StoreSketch) -> str:
    return "dsn" if store.kind == "postgres" else "url"


def experiment_text(sketch: Sketch) -> str:
    """The first experiment: a few people a second, and a slow dependency where one is known."""
    return "\n".join(_experiment(sketch)) + "\n"


def _experiment(sketch: Sketch) -> Iterator[str]:
    target = _target(sketch)
    yield "# The first experiment. What can go wrong: gameday faults"
    yield f"name: {FIRST}"
    yield from _belief(sketch, target)
    yield f"campaign: {flow(_campaign_of(sketch))}"
    yield "traffic:"
    scenario = {"executor": "constant-arrival-rate", "rate": "5/s"}
    rest = {"duration": "30s" if target else "12s", "population": "once"}
    yield f"  people: {flow({**scenario, **rest})}"
    yield _line("objectives:", "true = healthy")
    yield "  - name: fast"
    yield f"    expr: {_FAST}"
    yield from _method(target)
    yield "expect:"
    yield '  thresholds: {http_req_failed: ["rate<0.05"]}'
    if target:
        yield "  recovers_within: 18s"


def _belief(sketch: Sketch, target: str) -> Iterator[str]:
    if target:
        yield f"title: {target} answers 300 ms late"
        yield f"hypothesis: Slower while {target} is slow, and no request fails."
    else:
        yield f"title: A few people a second ask {sketch.name}"
        yield "hypothesis: Everybody gets an answer that gameday understands, within half a second."


def _campaign_of(sketch: Sketch) -> Any:
    campaign: Any = {}
    if sketch.coupon is not None or sketch.audit or sketch.campaign:
        campaign["coupon"] = sketch.coupon or "none"
    if sketch.stock is not None or sketch.campaign is not None:
        campaign["stock"] = STOCK if sketch.stock is None else sketch.stock
    return {**campaign, "users": USERS}


def _method(target: str) -> Iterator[str]:
    if target:
        yield "method:"
        fault = {"fault": "network.latency", "target": target, "latency": "300ms"}
        yield f"  - {flow({**fault, 'at': '8s', 'duration': '8s'})}"
        return
    yield "# Something breaks, once your service calls its dependency through a Toxiproxy"
    yield "# (docs/own-system.md); make the traffic 30s long then. NAME stands under `proxies`:"
    yield "# method:"
    yield "#   - {fault: network.latency, target: NAME, latency: 300ms, at: 8s, duration: 8s}"


def _target(sketch: Sketch) -> str:
    """The dependency that the first experiment makes slow, "" where none is known."""
    found: Sequence[Any] = () if sketch.project is None else sketch.project.dependencies
    return found[0].name if found else ""
