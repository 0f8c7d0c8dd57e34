"""The rules between the keys and between the files of one run."""

# ruff: noqa: E501  - a table of broken files reads best with one of them a line

import json
import math
from datetime import timedelta
from pathlib import Path

import pytest

from gameday.core import messages
from gameday.core.errors import FileError, UsageError
from gameday.core.network.allow_list import Allowed
from gameday.evidence.effective import Effective, PlannedPlaybook, dump
from gameday.plan.rules.drill import session_s, stock_needed
from gameday.plan.rules.expressions import window_names
from gameday.plan.validate import validate, validate_drill, validate_system
from gameday.spec import drill as drill_keys
from gameday.spec.drill import Drill
from gameday.spec.experiment import Experiment
from gameday.spec.inputs import (
    Inputs,
    LoadedDrill,
    find_experiment,
    find_playbook,
    load_drill,
    load_experiment,
    load_inputs,
    load_system,
)
from gameday.spec.system import Semantics, System
from gameday.spec.targets import refuse_foreign, resolve_targets
from gameday.traffic.forecast import expected_starts, sell_out_s, traffic_end_s
from tests.support.rundirs import FAULT, RunDir, read

FAST = "histogram_quantile(0.95, sum by (le) (rate(k6_http_req_duration_seconds_bucket[5s]))) < 0.2"
GUARD = "sum(rate(k6_http_reqs_total[5s])) > 5000"
EXPERIMENT = f"""\
name: slow
seed: 7
campaign: {{coupon: C, stock: 4500, users: 100000}}
traffic:
  drop: {{executor: constant-arrival-rate, rate: 100/s, duration: 60s}}
objectives:
  - {{name: fast, expr: '{FAST}'}}
method:
  - {{fault: network.latency, target: redis, latency: 300ms, jitter: 50ms, at: 15s, duration: 20s}}
expect:
  thresholds: {{http_req_failed: ["rate<0.02"]}}
  alerts:
    - {{alert: Slow, fires_within: 10s, resolves_within: 20s}}
  other_alerts: [Failing]
  recovers_within: 18s
playbook: slow
abort_if:
  - {{expr: '{GUARD}', for: 10s}}
short:
  traffic:
    drop: {{executor: constant-arrival-rate, rate: 10/s, duration: 20s}}
  method: []
  expect: {{}}
"""
SYSTEM = """\
name: shop
base_url: http://127.0.0.1:8080
metrics: [http://localhost:9102/metrics]
start:
  argv: [python, -m, shop, "{port}"]
  env: {REDIS_URL: "{redis}", SQL: "{postgres_direct}", BRACE: "{{}}"}
requests:
  issue:
    post: /issue
    json: {user: "{user}", code: "{coupon}", note: "{{x"}
    headers: {Authorization: {env: TOKEN}, Idempotency-Key: "{key}"}
    outcomes: {issued: {status: 200}}
campaign: {post: /c, json: {code: "{coupon}", stock: "{stock}"}}
close: {post: "/c/{coupon}/close"}
drain: {expr: sum(in_flight) == 0}
audit: {get: "/c/{coupon}/audit"}
stores:
  redis: {url: {env: REDIS}, remaining: "stock:{coupon}", holders: "holders:{coupon}"}
proxies: {redis: redis, postgres: postgres}
dependencies: {redis: max(dependency_seconds)}
toxiproxy: http://127.0.0.1:8474
rules: [rules.yml]
actions:
  use-other: {post: /strategy, json: {to: other}}
  use-redis: {post: /strategy, json: {to: redis}}
"""
RULES = """\
groups:
  - name: shop
    rules:
      - {alert: Slow, expr: up == 0}
      - {alert: Failing, expr: up == 0}
"""
PLAYBOOK = """\
---
name: slow
alerts: [Slow]
---

1. Switch over.

   ```yaml step
   do: use-other
   before: max(dependency_seconds) > 0.1
   after: min(strategy) == 1
   undo: use-redis
   ```
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one whole set of files, and the current one."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "experiments" / "slow.yaml").write_text(EXPERIMENT)
    (tmp_path / "playbooks" / "slow.md").write_text(PLAYBOOK)
    (tmp_path / "system.yaml").write_text(SYSTEM)
    (tmp_path / "rules.yml").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gathered(*, short: bool = False) -> Inputs:
    return load_inputs("slow", "system.yaml", short=short)


def rewrite(file: str, old: str, new: str) -> None:
    path = Path(file)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def test_a_whole_set_of_files_is_valid_without_warnings() -> None:
    assert validate(gathered()) == []
    assert validate(gathered(short=True)) == []


X = "experiments/slow.yaml"
S = "system.yaml"
P = "playbooks/slow.md"
# The file, what is done to it, where the error points, what it says, and the help.
REFUSED = [
    (X, "fires_within: 10s", "fires_within: 46s", "13:21", "may fire until 61 s (15 + 46s), after the traffic (60 s)", "lengthen"),
    (X, "resolves_within: 20s", "resolves_within: 26s", "13:40", "may resolve until 61 s (35 + 26s), after the traffic (60 s)", "shorten"),
    (X, "recovers_within: 18s", "recovers_within: 44s", "15:3", "may end at 61 s (15 + 2 + 44s), after the traffic (60 s)", ""),
    (X, "at: 15s", "at: 4s", "9:75", "leaves no 5 s to see the steady state", "begin at 5s or later"),
    (X, "at: 15s", "at: 41s", "9:75", "the fault ends at 61 s, after the traffic (60 s)", ""),
    (X, "duration: 20s}", "duration: 0s}", "9:84", "must be longer than 0s", ""),
    (X, "jitter: 50ms", "jitter: 1s", "9:61", "'jitter': 1s is more than the latency (300ms)", ""),
    (X, "rate: 100/s", "rate: 0/s", "5:43", "asks for nothing", ""),
    (X, "rate: 100/s", "rate: 1000/ms", "4:1", "asks for 60000000 requests, more than 50000000", ""),
    (X, "duration: 60s", "duration: 25h", "4:1", "lasts longer than 24h", ""),
    (X, "target: redis", "target: reddis", "9:30", "'reddis' is not a service under 'proxies'", "did you mean 'redis'?"),
    (X, "alert: Slow,", "alert: Slo,", "13:8", "no rule raises 'Slo'", "did you mean 'Slow'?"),
    (X, "alert: Slow,", "alert: Slow, of: other,", "13:21", "no fault has the id 'other'", "network-latency-1"),
    (X, "[Failing]", "[Faling]", "14:18", "no rule raises 'Faling'", "did you mean 'Failing'?"),
    (X, "http_req_failed:", "http_req_faild:", "11:16", "unknown metric 'http_req_faild'", "http_req_failed"),
    (X, '"rate<0.02"', '"p(95)<0.02"', "11:34", "which has no 'p(95)'", "rate"),
    (X, '"rate<0.02"', '"rate small"', "11:34", "is not a threshold", ""),
    (X, "http_req_failed:", "'http_req_failed{scenario:dorp}':", "11:16", "there is no scenario 'dorp'", "did you mean 'drop'?"),
    (X, "http_req_failed:", "'http_req_failed{window:during-redis}':", "11:16", "there is no window 'during-redis'", "after-network-latency-1, before, during-network-latency-1"),
    (X, "http_req_failed:", "'http_req_failed{window:during-network-latency}':", "11:16", "there is no window 'during-network-latency'", "did you mean 'during-network-latency-1'?"),
    (X, "http_req_failed:", "'http_req_failed{method:GET}':", "11:16", "there is no method 'GET'", "POST"),
    (X, 'http_req_failed: ["rate<0.02"]', '"http_req_failed{window:before}": [{threshold: "rate<0.02", abortOnFail: true}]', "11:76", "'abortOnFail': 'http_req_failed{window:before}' is judged after the run", "abort_if"),
    (X, "k6_http_req_duration_seconds_bucket", "k6_http_req_durations_seconds_bucket", "7:18", "unknown traffic metric", "did you mean 'k6_http_req_duration_seconds_bucket'?"),
    (X, "sum(rate(k6_http_reqs_total[5s]))", "sum(rate(k6_http_reqs_total))", "18:6", "'expr'", ""),
    (X, "playbook: slow", "playbook: slaw", "16:1", "there is no playbook 'slaw'", "did you mean 'slow'?"),
    (X, "stock: 4500, ", "", "3:1", "'stock' is missing", ""),
    (X, "{coupon: C, ", "{", "3:1", "'campaign': 'coupon' is missing", "campaign: {coupon: CODE}"),
    (X, "method: []", "methods: []", "22:3", "unknown key 'methods'", "did you mean 'method'?"),
    (X, "method: []", "name: other", "22:3", "'name' cannot stand in 'short'", ""),
    (X, "short:", "rules: [no.yml]\nshort:", "19:9", "there is no file 'no.yml'", ""),
    (P, "do: use-other", "do: use-othr", "9:4", "'use-othr' is not an action of the system", "did you mean 'use-other'?"),
    (P, "undo: use-redis", "undo: use-rediss", "12:4", "'use-rediss' is not an action", "did you mean 'use-redis'?"),
    (P, "after: min(strategy) == 1", "after: min(strategy", "11:4", "'after'", ""),
    (P, "[Slow]", "[Slwo]", "3:10", "no rule raises 'Slwo'", "did you mean 'Slow'?"),
    (S, "base_url: http://127.0.0.1:8080", "base_url: http://me:pw@127.0.0.1", "2:1", "an address with credentials in it", "{env: NAME}"),
    (S, "base_url: http://127.0.0.1:8080", "base_url: 127.0.0.1:8080", "2:1", "is not an address", "http://HOST:PORT"),
    (S, "base_url: http://127.0.0.1:8080", "base_url: http://127.0.0.1:0", "2:1", "is not an address", "http://HOST:PORT"),
    (S, "base_url: http://127.0.0.1:8080", "base_url: http://127.0.0.1/?a", "2:1", "has a query or a fragment", ""),
    (S, "post: /issue", "post: issue", "9:5", "'post': the path 'issue' does not begin with /", "begin with /"),
    (S, "{post: /c,", '{post: "@other:80/c",', "13:12", "'post': the path '@other:80/c' does not begin", ""),
    (S, "/c/{coupon}/close", "//other/close", "14:9", "begins with what may be read as a host", ""),
    (S, "/c/{coupon}/audit", "/c d", "16:9", "holds a space, a backslash", ""),
    (S, "use-other: {post: /strategy", "use-other: {post: .other/strategy", "24:15", "'.other/strategy' does not begin", ""),
    (S, "{env: TOKEN}", "Bearer abc", "11:15", "a secret written out", "{env: NAME}"),
    (S, '"{user}"', '"{usr}"', "10:12", "unknown placeholder '{usr}'", "did you mean 'user'?"),
    (S, '"{user}"', "{user}", "10:12", "is a mapping here", 'put it in quotes: "{user}"'),
    (S, '"{{x"', '"{x"', "10:46", "has no end", "a bare brace is written {{"),
    (S, "/c/{coupon}/close", "/c/{user}/close", "14:9", "unknown placeholder '{user}'", "coupon, run, stock"),
    (S, '"{port}"', '"{redis}"', "5:28", "'{redis}' would show a password", "hand it over in start.env"),
    (S, '"{postgres_direct}"', '"{postgre}"', "6:31", "unknown placeholder '{postgre}'", "did you mean 'postgres'?"),
    (S, "sum(in_flight) == 0", "sum(in_flight", "15:9", "'expr'", ""),
    (S, "[rules.yml]", "[rule.yml]", "22:9", "there is no file 'rule.yml'", ""),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row[0]} {row[2]}")
def test_what_does_not_fit_together_is_refused_at_its_place(
    row: tuple[str, str, str, str, str, str],
) -> None:
    file, old, new, where, what, help = row
    rewrite(file, old, new)
    with pytest.raises(FileError) as caught:
        validate(gathered())
    assert caught.value.message.startswith(f"{file}:{where}: ")
    assert what in caught.value.problem
    assert help in caught.value.help


# The file, what is done to it, and the warning.
WARNED = [
    (X, "stock: 4500", "stock: 2000", "2000 coupons are expected to be gone at 20.2 s, before the last fault ends (35 s)"),
    (X, "stock: 4500", "stock: 5820", "just before the traffic ends (60 s), or not at all"),
    (X, "name: slow", "name: slo", "'slo' is not the name of the file"),
    (X, f"'{GUARD}'", "sum(k6_vus)", "compares nothing"),
    (P, "alerts: [Slow]", "alerts: [Failing]", "answers none of the expected alerts"),
    (P, "   after: min(strategy) == 1\n", "", "nothing shows that the step worked"),
    (S, "dependencies: {redis:", "dependencies: {cache:", "'cache' is not a service under 'proxies'"),
    ("rules.yml", "Slow, expr: up == 0", "Slow, expr: up == 0, labels: {a: '{{ query 1 }}'}", "rules.yml:4:9: alert 'Slow': the template {{ query 1 }} is shown as it is written"),
    ("rules.yml", "Failing, expr: up == 0}", "Failing, expr: up == 0}\n---\ngroups: []", "rules.yml:7:1: begins a document that is not read"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "what"), WARNED)
def test_what_is_hardly_meant_is_told(file: str, old: str, new: str, what: str) -> None:
    rewrite(file, old, new)
    assert any(what in str(warning) for warning in validate(gathered()))


def test_many_warnings_of_a_rule_file_hide_no_error() -> None:
    odd = "".join(
        f"      - {{alert: A{n}, expr: x, labels: {{a: '{{{{ b }}}}'}}}}\n" for n in range(150)
    )
    Path("rules.yml").write_text(RULES + odd)
    rewrite(X, "name: slow", "name: slo")
    assert 50 < len(validate(gathered())) <= 110
    rewrite(X, "[Failing]", "[Faling]")
    with pytest.raises(FileError, match="no rule raises 'Faling'"):
        validate(gathered())


RECORDED = """\
      - {record: "traffic:unknown:ratio", expr: "sum(rate(k6_dropped_iterations_total[5s]))"}
      - {record: "traffic:worst", expr: "traffic:unknown:ratio * 2 or up"}
      - {record: "service:busy", expr: "traffic:worst + max(in_flight)"}
"""


@pytest.mark.parametrize(
    ("expr", "away"),
    [
        ("traffic:unknown:ratio > 1", ""),
        ("traffic:worst > 1", ""),
        ("(count(ALERTS) or vector(0)) > 3", ""),
        ("service:busy > 1", "takes 'in_flight' away"),
        ("max(in_flight) > 1", "takes 'in_flight' away"),
    ],
)
def test_a_guard_is_blind_where_what_is_behind_its_series_is_away(expr: str, away: str) -> None:
    Path("rules.yml").write_text(RULES + RECORDED)
    second_fault("{fault: service.pause, target: service, at: 40s, duration: 5s}")
    rewrite(X, GUARD, expr)
    if not away:
        assert validate(gathered()) == []
        return
    with pytest.raises(FileError, match=away):
        validate(gathered())


def second_fault(text: str) -> None:
    rewrite(X, "expect:", f"  - {text}\nexpect:")


def test_the_same_fault_on_the_same_target_must_not_overlap() -> None:
    second_fault("{fault: network.latency, target: redis, latency: 1s, at: 30s, duration: 5s}")
    with pytest.raises(FileError, match=r"10:5: .*overlaps with 'network-latency-1'"):
        validate(gathered())


def test_other_faults_may_overlap() -> None:
    second_fault("{fault: network.latency, target: postgres, latency: 1s, at: 30s, duration: 5s}")
    second_fault("{fault: traffic.spike, rate: 10/s, at: 20s, duration: 5s}")
    assert validate(gathered()) == []


@pytest.mark.parametrize("id", ["network-latency-1", "drop"])
def test_an_id_that_is_taken_is_refused(id: str) -> None:
    second_fault(f"{{fault: traffic.spike, id: {id}, rate: 10/s, at: 20s, duration: 5s}}")
    with pytest.raises(FileError, match=f"10:28: 'id': '{id}' is"):
        validate(gathered())


def test_a_recovery_without_an_objective_says_nothing() -> None:
    rewrite(X, f"objectives:\n  - {{name: fast, expr: '{FAST}'}}\n", "")
    with pytest.raises(FileError, match="without 'objectives' it says nothing"):
        validate(gathered())


def test_an_alert_without_a_fault_cannot_be_expected() -> None:
    rewrite(X, "  expect: {}", "  expect: {alerts: [{alert: Slow, fires_within: 1s}]}")
    with pytest.raises(FileError, match=r":23:21: 'alerts': no fault"):
        validate(gathered(short=True))


def test_the_first_error_of_the_experiment_is_told_before_those_of_other_files() -> None:
    rewrite(S, "{env: TOKEN}", "Bearer abc")
    rewrite(X, "recovers_within: 18s", "recovers_within: 59s")
    rewrite(X, "target: redis", "target: reddis")
    with pytest.raises(FileError, match=r"slow\.yaml:9:30"):
        validate(gathered())


def test_the_short_form_replaces_whole_keys() -> None:
    loaded = load_experiment("slow", short=True)
    assert loaded.short
    assert loaded.experiment.method == []
    assert loaded.experiment.expect.alerts == []
    assert loaded.experiment.short is None
    assert loaded.experiment.playbook == "slow"
    assert traffic_end_s(loaded.experiment) == 20.0


def test_an_error_inside_the_short_form_has_its_own_place() -> None:
    rewrite(X, "rate: 10/s", "rate: 10")
    assert load_experiment("slow").experiment.name == "slow"
    with pytest.raises(FileError, match=r"slow\.yaml:21:45: 'rate': 10 is not a rate"):
        load_experiment("slow", short=True)


DRILL = """\
drill:
  campaign: {coupon: C, stock: 90000, users: 100000}
  lasts: 5m
  hypotheses: [The store answers late, {id: word.unknown}]
  hints:
    - {after: 30s, text: Look at the first alert}
  injects:
    - {on: alert, to: scribe, text: What do we tell them?}
"""


def drilled(old: str = "", new: str = "") -> LoadedDrill:
    Path(X).write_text(EXPERIMENT + DRILL.replace(old, new))
    return load_drill("slow", seed=5)


def test_a_drill_lays_its_keys_over_the_file_and_keeps_its_own() -> None:
    both = drilled()
    assert both.loaded.experiment.campaign.stock == 90000
    assert (both.loaded.experiment.seed, both.loaded.experiment.drill) == (5, None)
    assert traffic_end_s(both.loaded.experiment) == 60.0
    assert both.drill.lasts == timedelta(minutes=5)
    assert list(both.drill.hypotheses) == ["The store answers late", "unknown"]
    assert both.document.place("hints", 0, "text").line == 29
    assert load_experiment("slow").experiment.drill is None
    assert traffic_end_s(load_experiment("slow", short=True).experiment) == 20.0


def test_a_file_that_says_nothing_of_drills_is_drilled_all_the_same() -> None:
    both = load_drill("slow", seed=5)
    assert both.drill == Drill()
    assert both.loaded.experiment.method[0].id == "network-latency-1"


def test_a_drill_draws_a_seed_that_is_not_in_the_file() -> None:
    seeds = {load_drill("slow").loaded.experiment.seed for _ in range(8)}
    assert len(seeds) > 1


NOT_DRILLED = [
    ("lasts: 5m", "name: other", "26:3: 'name' cannot stand in 'drill'", ""),
    ("lasts: 5m", "short: {}", "26:3: 'short' cannot stand in 'drill'", ""),
    ("lasts: 5m", "drill: {}", "26:3: 'drill' cannot stand in 'drill'", ""),
    ("lasts: 5m", "methd: []", "26:3: unknown key 'methd'", "did you mean 'method'?"),
    ("lasts: 5m", "lastz: 5m", "26:3: unknown key 'lastz'", "did you mean 'lasts'?"),
    ("lasts: 5m", "lasts: 5", "26:3: 'lasts': 5 is not a duration", ""),
    ("stock: 90000", "stok: 9", "25:25: unknown key 'stok'", "did you mean 'stock'?"),
    ("text: Look", "txt: Look", "29:20: unknown key 'txt'", "did you mean 'text'?"),
    ("to: scribe", "to: scrib", "31:19: 'to': unknown value 'scrib'", "did you mean 'scribe'?"),
    ("{id: word.unknown}", "{id: nope}", "there is no text 'nope': write the text itself", ""),
    ("{id: word.unknown}", "{id: drill.may.db_lat}", "did you mean 'drill.may.db_late'?", ""),
    ("{id: word.unknown}", "{name: drill.no}", "write the text, or {id: ID}", ""),
]


@pytest.mark.parametrize(("old", "new", "problem", "help"), NOT_DRILLED)
def test_what_cannot_be_drilled_is_refused_at_its_place(
    old: str, new: str, problem: str, help: str
) -> None:
    with pytest.raises(FileError) as caught:
        drilled(old, new)
    assert problem in caught.value.message
    assert help in caught.value.help


def test_texts_by_id_are_told_in_another_language_as_far_as_there_are_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    english = dict(messages.templates())
    languages = {"en": english, "ko": {**english, "word.unknown": "모름"}}
    for module in (messages, drill_keys):
        monkeypatch.setattr(module, "templates", languages.__getitem__)
    drilled()
    assert list(load_drill("slow", 5, "ko").drill.hypotheses)[1] == "모름"
    del languages["ko"]["word.unknown"]
    assert list(load_drill("slow", 5, "ko").drill.hypotheses)[1] == "unknown"


def both_of(old: str, new: str) -> list[str]:
    return [str(each) for each in validate_drill(drilled(old, new), load_system(Path(S)))]


# What is done to the drill, and its error: where, what, and the cure.
NOT_A_SESSION = [
    ("lasts: 5m", "lasts: 0s", "26:3: 'lasts': must be longer than 0s", ""),
    ("lasts: 5m", "updates_every: 0s", "26:3: 'updates_every': must be longer", ""),
    ("lasts: 5m", "lasts: 12m", "26:3: 'minutes': 20 is less than what a session takes, 22", "write 22"),
    ("lasts: 5m", "minutes: 10", "26:3: 'minutes': 10 is less than what a session takes, 20", "write 20"),
    (", {id: word.unknown}", "", "27:3: 'hypotheses': one alone is no choice", "add what else"),
    ("{id: word.unknown}", "the store  answers LATE", "is number 1 once more", "something else"),
    ("  injects:", "    - {after: 10s, text: Sooner}\n  injects:", "30:8: 'after': 10s is earlier than the hint before it, at 30s", "order"),
    ("on: alert, ", "", "31:7: inject 1 has neither of 'at' and 'on'", "one of them"),
    ("on: alert, ", "on: alert, at: 5s, ", "31:7: inject 1 has both of 'at' and 'on'", "one of them"),
    ("on: alert, ", "at: 11m, ", "31:8: 'at': 11m is after the fault, which stays 5m", "raise `lasts`"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "problem", "help"), NOT_A_SESSION)
def test_a_session_that_nobody_could_hold_is_refused(
    old: str, new: str, problem: str, help: str
) -> None:
    with pytest.raises(FileError) as caught:
        both_of(old, new)
    assert problem in caught.value.message
    assert help in caught.value.help


DOUBTFUL = [
    ("Look at the first alert", "It is Network.Latency!", "29:20: 'text': it names 'network.latency'"),
    ("What do we tell them?", "Is it network latency?", "31:31: 'text': it names 'network latency'"),
    ("after: 30s", "after: 6m", "29:8: 'after': at 6m nobody can have it"),
    ("stock: 90000", "stock: 9000", "25:25: 'stock': 9000 coupons are expected to be gone 94 s after the start"),
    ("stock: 90000", "stock: 2000", "it may be before the fault"),
    ("lasts: 5m", "method: []\n  expect: {}", "26:3: 'method': nothing breaks in it"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "what"), DOUBTFUL)
def test_what_would_spoil_a_session_is_told(old: str, new: str, what: str) -> None:
    told = both_of(old, new)
    assert any(what in each for each in told), told


def test_a_sound_session_is_valid_and_needs_no_stock_of_its_own() -> None:
    assert both_of("", "") == []
    assert both_of("  campaign: {coupon: C, stock: 90000, users: 100000}\n", "") == []


def test_the_stock_of_a_session_lasts_whenever_the_fault_comes() -> None:
    experiment = drilled().loaded.experiment
    needed = stock_needed(experiment, 600, 300)
    starts = 100 * session_s(experiment, 600, 300)
    assert session_s(experiment, 600, 300) == 15 + 600 + 300 + 120
    long = {
        "drop": experiment.traffic["drop"].model_copy(
            update={"duration": timedelta(seconds=starts / 100)}
        )
    }
    session = experiment.model_copy(
        update={
            "traffic": long,
            "campaign": experiment.campaign.model_copy(update={"stock": needed}),
        }
    )
    assert sell_out_s(session) is None
    assert needed is not None
    assert needed < starts


def test_the_stock_of_a_session_counts_what_users_may_hold_and_units() -> None:
    experiment = drilled().loaded.experiment
    campaign = experiment.campaign.model_copy(update={"users": 20_000})
    experiment = experiment.model_copy(update={"campaign": campaign})
    starts = 100 * session_s(experiment, 600, 300)
    one = stock_needed(experiment, 600, 300)
    assert one == 20_000  # each of them once
    two, many, units = (
        stock_needed(experiment, 600, 300, Semantics.model_validate(semantics))
        for semantics in ({"per_user": 2}, {"per_user": "many"}, {"per_user": "many", "units": 3})
    )
    assert two == 40_000  # each of them twice: they ask five times
    assert many == math.ceil(starts * 1.05)
    assert many is not None
    assert units == 3 * many


def test_the_short_form_has_no_drill_in_it() -> None:
    rewrite(X, "method: []", "drill: {}")
    with pytest.raises(FileError, match="'drill' cannot stand in 'short'"):
        load_experiment("slow")


def test_an_experiment_without_a_short_form_says_so() -> None:
    path = Path(X)
    path.write_text(path.read_text().partition("short:")[0])
    with pytest.raises(FileError, match="there is no short form"):
        load_experiment("slow", short=True)


def test_the_seed_comes_from_the_caller_then_the_file_then_chance() -> None:
    assert load_experiment("slow", seed=9).experiment.seed == 9
    assert load_experiment("slow").experiment.seed == 7
    rewrite(X, "seed: 7\n", "")
    assert load_experiment("slow").experiment.seed is not None


def test_faults_without_ids_are_numbered_by_kind() -> None:
    second_fault("{fault: network.reset_peer, target: redis, at: 20s, duration: 5s}")
    second_fault("{fault: network.latency, target: postgres, latency: 1s, at: 30s, duration: 5s}")
    ids = [fault.id for fault in load_experiment("slow").experiment.method]
    assert ids == ["network-latency-1", "network-reset-peer-1", "network-latency-2"]


@pytest.mark.parametrize("of", ["network-latency-1", "network.latency-1"])
def test_a_default_id_may_be_written_as_the_fault_is(of: str) -> None:
    rewrite(X, "alert: Slow,", f"alert: Slow, of: {of},")
    assert validate(gathered()) == []


def test_rules_that_only_prometheus_has_are_asked_for_later() -> None:
    rewrite(S, "rules: [rules.yml]", "settle: 1s")
    with pytest.raises(FileError, match="no rule raises 'Slow'"):
        validate(gathered())
    rewrite(S, "settle: 1s", "prometheus: http://127.0.0.1:9090")
    assert validate(gathered()) == []


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no experiment 'slw'") as caught:
        find_experiment("slw")
    assert caught.value.help == "did you mean 'slow'?"


def test_shipped_experiments_are_found_from_anywhere() -> None:
    assert find_experiment("redis-slow").name == "redis-slow.yaml"


def test_a_playbook_is_found_beside_the_experiments_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = find_playbook("slow", tmp_path / "experiments" / "slow.yaml")
    assert found is not None
    assert found.read_text() == PLAYBOOK


@pytest.mark.parametrize(
    ("stock", "expected_s"), [(4500, 46.0), (2000, 20.2), (6000, None), (0, 0.0)]
)
def test_the_expected_sell_out_counts_users_who_ask_twice(
    stock: int, expected_s: float | None
) -> None:
    rewrite(X, "stock: 4500", f"stock: {stock}")
    found = sell_out_s(load_experiment("slow").experiment)
    assert found == (None if expected_s is None else pytest.approx(expected_s, abs=0.05))


def test_as_many_coupons_as_users_are_never_all_gone() -> None:
    rewrite(X, "stock: 4500, users: 100000", "stock: 10, users: 10")
    assert sell_out_s(load_experiment("slow").experiment) is None


def test_a_ramp_asks_for_the_area_under_its_rate() -> None:
    ramp = (
        "executor: ramping-arrival-rate, startRate: 10/s,"
        " stages: [{target: 1000/s, duration: 60s}, {target: 1000/s, duration: 2m},"
        " {target: 10/s, duration: 30s}]"
    )
    rewrite(X, "executor: constant-arrival-rate, rate: 100/s, duration: 60s", ramp)
    experiment = load_experiment("slow").experiment
    assert expected_starts(experiment) == pytest.approx(165_450)
    assert traffic_end_s(experiment) == 210.0


def test_the_hosts_a_run_talks_to_are_listed_with_their_keys() -> None:
    system = load_system(Path(S)).system
    targets = resolve_targets(system, {"REDIS": "redis://:pw@10.1.2.3:6379"})
    assert ("base_url", "127.0.0.1") in targets
    assert ("metrics", "localhost") in targets
    assert ("stores.redis.url", "10.1.2.3") in targets


def test_loopback_needs_no_permission() -> None:
    refuse_foreign(load_system(Path(S)).system, Allowed())


def test_another_machine_needs_permission_by_name() -> None:
    rewrite(S, "toxiproxy: http://127.0.0.1:8474", "toxiproxy: http://192.0.2.7:8474")
    system = load_system(Path(S)).system
    with pytest.raises(UsageError, match=r"toxiproxy: 192\.0\.2\.7 is not this machine") as caught:
        refuse_foreign(system, Allowed(["192.0.2.8"]))
    assert caught.value.help.endswith("--allow-target 192.0.2.7")
    refuse_foreign(system, Allowed(["192.0.2.7"]))


def test_the_effective_record_reads_back_to_the_same_models() -> None:
    inputs = gathered()
    assert inputs.playbook is not None
    record = Effective(
        run="r",
        stack="embedded",
        seed=7,
        coupon="C-r",
        stock=4500,
        short=False,
        experiment=inputs.experiment.experiment,
        system=inputs.system.system,
        playbook=PlannedPlaybook.of(inputs.playbook.playbook),
        traffic_end_s=60.0,
        no_responder=False,
        planned={"drop": 6000},
    )
    again = json.loads(json.dumps(record.as_json()))
    assert Effective.model_validate(again) == record
    assert Experiment.model_validate(again["experiment"]) == inputs.experiment.experiment
    assert System.model_validate(again["system"]) == inputs.system.system
    assert again["playbook"]["steps"][0]["block"]["do"] == "use-other"
    assert (again["schema"], again["traffic_end_s"], again["seed"]) == (1, 60.0, 7)


def test_a_dump_fills_in_defaults() -> None:
    dumped = dump(gathered().experiment.experiment)
    assert dumped["expect"]["checks"] == "all"
    assert dumped["traffic"]["drop"]["startTime"] == "0s"


def test_a_system_file_is_checked_by_itself() -> None:
    assert validate_system(load_system(Path(S))) == []
    rewrite(S, '"{user}"', '"{usr}"')
    with pytest.raises(FileError, match="unknown placeholder"):
        validate_system(load_system(Path(S)))


def test_a_threshold_may_ask_for_the_windows_that_the_faults_make() -> None:
    keys = (f"'http_req_failed{{window:{name}}}'" for name in sorted(window_names([FAULT])))
    thresholds = ", ".join(f'{key}: ["rate<0.02"]' for key in keys)
    rewrite(X, 'http_req_failed: ["rate<0.02"]', thresholds)
    assert validate(gathered()) == []


def test_the_windows_that_are_allowed_are_those_that_a_run_has() -> None:
    """Loading knows their names beforehand, the evidence makes them: the two must not part."""
    assert set(read(RunDir()).about.windows) == window_names([FAULT])
    assert set(read(RunDir().without_faults()).about.windows) == window_names([])


def test_without_a_fault_there_are_no_windows() -> None:
    rewrite(X, "expect: {}", "expect: {thresholds: {'http_reqs{window:before}': [count>1]}}")
    with pytest.raises(FileError) as caught:
        validate(gathered(short=True))
    assert "there is no window 'before'" in caught.value.problem
    assert "there is no fault" in caught.value.help
