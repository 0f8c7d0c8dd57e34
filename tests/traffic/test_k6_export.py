"""An experiment's traffic as a k6 script: the way back, and the real k6."""

import json
import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gameday.core.errors import UsageError
from gameday.core.units import Rate, format_duration
from gameday.spec.experiment import Experiment
from gameday.spec.inputs import find_system, load_experiment, load_system
from gameday.spec.shipped import all_experiments
from gameday.spec.system import System
from gameday.spec.yaml import compose
from gameday.traffic.k6.export_script import export_script
from gameday.traffic.k6.import_script import import_script
from gameday.traffic.k6.summary_json import flat, handed
from gameday.traffic.k6.units import duration_of, rate_text, whole_rates
from gameday.traffic.thresholds import ThresholdOutcome, parse
from tests.matrices.k6_starts import recorded
from tests.support.load_server import load_server

K6 = os.environ.get("GAMEDAY_K6") or shutil.which("k6")
needs_k6 = pytest.mark.skipif(K6 is None, reason="no k6 on PATH or in $GAMEDAY_K6")
OURS = ("outcome:", "reason:", "window:", "intended")


def ours() -> System:
    return load_system(find_system(None)).system


def back(experiment: Experiment, folder: Path) -> Experiment:
    """Exported, and imported again."""
    script = folder / "script.js"
    script.write_text(export_script(experiment, ours()).script)
    return compose(import_script(script, "back", {}).yaml, "back").parse(Experiment)


def shared(experiment: Experiment) -> dict[str, object]:
    """The thresholds that k6 can have, too."""
    return {
        key: texts
        for key, texts in experiment.expect.thresholds.items()
        if not any(word in key for word in OURS)
    }


@pytest.mark.parametrize("path", all_experiments()[::4], ids=lambda path: path.stem)
def test_the_shipped_experiments_come_back_as_they_went(path: Path, tmp_path: Path) -> None:
    experiment = load_experiment(str(path), seed=1).experiment
    again = back(experiment, tmp_path)
    assert again.traffic == experiment.traffic
    assert again.expect.thresholds == shared(experiment)


SPAN = st.integers(1, 10_000_000).map(lambda ms: format_duration(timedelta(milliseconds=ms)))
WHOLE = st.integers(1000, 10_000_000).map(lambda ms: format_duration(timedelta(milliseconds=ms)))
RATES = st.one_of(
    st.integers(1, 3000).map(lambda n: f"{n}/s"),
    st.integers(1, 90_000).map(lambda n: f"{n}/m"),
)
COMMON = {"startTime": SPAN, "gracefulStop": SPAN, "sleep": st.just("1s500ms")}
LIMITS = st.fixed_dictionaries(
    {}, optional={"preAllocatedVUs": st.integers(1, 40), "population": st.just({"zipf": 1.1})}
)
CONSTANT = st.fixed_dictionaries(
    {"executor": st.just("constant-arrival-rate"), "rate": RATES, "duration": WHOLE},
    optional=COMMON,
)
RAMPING = st.fixed_dictionaries(
    {
        "executor": st.just("ramping-arrival-rate"),
        "stages": st.lists(
            st.fixed_dictionaries({"target": RATES, "duration": WHOLE}), min_size=1, max_size=4
        ),
    },
    optional=COMMON | {"startRate": RATES},
)
VUS = st.fixed_dictionaries(
    {"executor": st.just("constant-vus"), "vus": st.integers(1, 60), "duration": WHOLE},
    optional=COMMON,
)
UPS = st.fixed_dictionaries(
    {
        "executor": st.just("ramping-vus"),
        "stages": st.lists(
            st.fixed_dictionaries({"target": st.integers(1, 60), "duration": WHOLE}),
            min_size=1,
            max_size=4,
        ),
    },
    optional=COMMON | {"startVUs": st.integers(0, 60), "gracefulRampDown": SPAN},
)
BY_RATE = st.tuples(st.one_of(CONSTANT, RAMPING), LIMITS).map(lambda two: two[0] | two[1])


@given(traffic=st.lists(st.one_of(BY_RATE, VUS, UPS), min_size=1, max_size=12))
@settings(
    max_examples=4,
    phases=[Phase.generate],  # one example takes a process: too long to make a failing one small
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_traffic_comes_back_as_it_went(traffic: list[object], tmp_path: Path) -> None:
    named = {f"s-{n}": spec for n, spec in enumerate(traffic)}
    lines = [
        "name: any",
        "campaign: {coupon: C, users: 1000}",
        f"traffic: {json.dumps(named)}",
        'expect: {thresholds: {"http_req_duration": [{threshold: "p(95)<2", abortOnFail: true}]}}',
    ]
    experiment = compose("\n".join(lines), "any").parse(Experiment)
    again = back(experiment, tmp_path)
    assert again.expect.thresholds == experiment.expect.thresholds
    assert _levelled(again) == _levelled(experiment)


def _levelled(experiment: Experiment) -> object:
    """Rates by the second: a ramp of several units comes back in one."""

    def level(value: object) -> object:
        if isinstance(value, Rate):
            return round(value.per_s, 9)
        if isinstance(value, dict):
            return {key: level(inner) for key, inner in value.items()}
        return [level(inner) for inner in value] if isinstance(value, list) else value

    return {name: level(spec.model_dump()) for name, spec in experiment.traffic.items()}


@pytest.mark.parametrize(
    ("rates", "whole"),
    [
        (["100/s"], ([100], "1s")),
        (["30/m", "1/s"], ([30, 60], "1m")),
        (["0.5/s", "1/s"], ([30, 60], "1m")),
        (["0.001/s"], ([1], "1000s")),
    ],
)
def test_rates_become_whole_numbers_of_one_unit(
    rates: list[str], whole: tuple[list[int], str]
) -> None:
    assert whole_rates([Rate.parse(rate) for rate in rates]) == whole


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("1m30s", 90), ("1.5h", 5400), ("250", 0.25), (1500, 1.5), ("2d", 172_800), ("10us", 1e-5)],
)
def test_durations_are_read_as_k6_reads_them(given: object, seconds: float) -> None:
    assert duration_of(given).total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize("given", ["", "5x", "-1s", None, True, "1s and more", float("nan")])
def test_what_is_no_duration_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration_of(given)


def test_a_rate_in_an_odd_unit_stays_exact_where_it_can() -> None:
    assert rate_text(3, timedelta(seconds=10)) == ("0.3/s", True)
    assert rate_text(1, timedelta(seconds=7))[1] is False


def test_our_summaries_have_the_recorded_shapes() -> None:
    known = recorded()["summaries"]
    _same_shape(known["handed"], known["exported"])


@needs_k6
def test_the_real_k6_runs_what_was_written_and_its_summaries_have_our_shape(
    tmp_path: Path,
) -> None:
    assert K6 is not None
    traffic = {
        "drop": {"executor": "constant-arrival-rate", "rate": "20/s", "duration": "2s"},
        "same": {"executor": "constant-vus", "vus": 2, "duration": "2s", "sleep": "500ms"},
    }
    thresholds = '{"http_req_duration": ["p(95)<5000"], "http_req_failed": ["rate<0.01"]}'
    lines = [
        "name: real",
        "campaign: {coupon: C-1, users: 50}",
        f"traffic: {json.dumps(traffic)}",
        f"expect: {{thresholds: {thresholds}}}",
    ]
    experiment = compose("\n".join(lines), "real").parse(Experiment)
    script, export = tmp_path / "real.js", tmp_path / "export.json"
    with load_server() as server:
        system = ours().model_copy(update={"base_url": server.url})
        made = export_script(experiment, system).script
        kept = "export function handleSummary(data) { return { stdout: JSON.stringify(data) }; }\n"
        script.write_text(made + kept)
        command = [K6, "run", "--quiet", "--no-usage-report", "--log-output=none"]
        done = subprocess.run(
            [*command, f"--summary-export={export}", str(script)],
            capture_output=True,
            timeout=50,
            check=False,
            env=os.environ | {"K6_NO_USAGE_REPORT": "true"},
        )
        heard = list(server.heard)
    assert done.returncode == 0, done.stderr.decode()
    bodies = [json.loads(body) for _, body in heard]
    assert len(bodies) in range(44, 51)
    assert {body["couponCode"] for body in bodies} == {"C-1"}
    assert all(0 <= body["userId"] < 50 for body in bodies)
    _same_shape(json.loads(done.stdout), json.loads(export.read_text()))


def _same_shape(theirs: dict[str, object], exported: dict[str, object]) -> None:
    """Our two summaries have k6's keys, for the metrics that both have."""
    names = ("http_req_duration", "http_req_failed", "http_reqs", "vus", "data_sent")
    figures: dict[str, dict[str, float]] = {
        "http_req_duration": dict.fromkeys(("avg", "min", "med", "max", "p(90)", "p(95)"), 1.0),
        "http_req_failed": {"rate": 0.0, "passes": 0, "fails": 50},
        "http_reqs": {"count": 50, "rate": 25.0},
        "vus": {"value": 1, "min": 0, "max": 2},
        "data_sent": {"count": 50, "rate": 25.0},
    }
    held = [
        ThresholdOutcome("http_req_duration", parse("p(95)<5000"), kept=True),
        ThresholdOutcome("http_req_failed", parse("rate<0.01"), kept=True),
    ]
    mine = handed(figures, held, length_ms=2000.0, terminals=(False, False))
    flat_one = flat(figures, held)
    for name in names:
        assert _keys(mine["metrics"][name]) == _keys(_in(theirs, name)), name
        assert _keys(flat_one["metrics"][name]) == _keys(_in(exported, name)), name
        assert mine["metrics"][name].get("thresholds") == _in(theirs, name).get("thresholds")
        assert flat_one["metrics"][name].get("thresholds") == _in(exported, name).get("thresholds")
        for word in ("type", "contains"):
            assert mine["metrics"][name][word] == _in(theirs, name)[word]
    assert _keys(mine["root_group"]) == _keys(theirs["root_group"])
    assert _keys(flat_one["root_group"]) == _keys(exported["root_group"])
    assert set(mine["state"]) <= set(_dict(theirs["state"]))


def _dict(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def _in(summary: dict[str, object], name: str) -> dict[str, object]:
    return _dict(_dict(summary["metrics"])[name])


def _keys(value: object) -> object:
    """Names all the way down."""
    if not isinstance(value, dict):
        return None
    return {key: _keys(inner) for key, inner in value.items()}


@pytest.mark.parametrize(
    "more", [{"cookies": True}, {"before": {"login": {"post": "/login"}}}], ids=["jar", "login"]
)
def test_a_system_of_several_requests_is_no_script(more: dict[str, object]) -> None:
    requests = {"issue": {"post": "/issue", "outcomes": {"issued": {"status": 200}}}, **more}
    told = {"name": "shop", "base_url": "http://127.0.0.1:1", "requests": requests}
    experiment = load_experiment(str(all_experiments()[0]), seed=1).experiment
    with pytest.raises(UsageError, match="no script"):
        export_script(experiment, System.model_validate(told))
