"""Thresholds that end a run: which they are, how the collector reads them, and when they may."""

from pathlib import Path

from gameday.core.clock import NS
from gameday.spec.experiment import Experiment
from gameday.telemetry.collector.abort_thresholds import Aborting, aborting
from gameday.telemetry.samples import Evaluation, Truth
from gameday.traffic.history import HistoryWriter, Outcome
from tests.support.rundirs import EXPERIMENT
from tests.telemetry.test_collector_tick import answered, header, measuring

THRESHOLDS = {
    "http_req_failed": [
        "rate<0.5",
        {"threshold": "rate<0.2", "abortOnFail": True, "delayAbortEval": "3s"},
    ],
    "http_req_duration": [{"threshold": "p(95)<100", "abortOnFail": True}, {"threshold": "max<1"}],
}


def watched() -> list[Aborting]:
    expect = {"thresholds": THRESHOLDS}
    return list(aborting(Experiment.model_validate({**EXPERIMENT, "expect": expect})))


def read(second: float, values: tuple[Truth, Truth]) -> Aborting | None:
    readings = {one.name: value for one, value in zip(watched(), values, strict=True)}
    line = Evaluation(t_ns=round(second * NS), readings=readings, alerts=())
    return next((one for one in watched() if one.trips(line)), None)


def test_only_those_that_say_so_may_end_a_run() -> None:
    assert [(one.name, one.text, one.not_before_ns) for one in watched()] == [
        ("threshold:0", "http_req_duration p(95)<100", 0),
        ("threshold:1", "http_req_failed rate<0.2", 3 * NS),
    ]


def test_a_crossed_threshold_ends_the_run_after_its_delay_and_one_without_samples_never() -> None:
    assert read(1, (True, True)) is None
    assert read(1, (None, None)) is None
    assert read(2.9, (None, False)) is None
    late = read(3, (None, False))
    assert late is not None
    assert late.text == "http_req_failed rate<0.2"
    at_once = read(0.5, (False, False))
    assert at_once is not None
    assert at_once.text == "http_req_duration p(95)<100"


async def test_the_collector_reads_thresholds_over_all_that_was_recorded(tmp_path: Path) -> None:
    asked = [
        Aborting("threshold:0", "http_req_duration{method:POST}", "p(95)<100", 0),
        Aborting("threshold:1", "http_req_failed", "rate<0.5", 0),
        Aborting("threshold:2", "http_req_failed{window:before}", "rate<0.5", 0),
    ]
    async with measuring(tmp_path, thresholds=asked, tags={"method": "POST"}) as tick:
        assert set((await tick())["readings"].values()) == {None}
        history = HistoryWriter(tmp_path / "history" / "drop-0.bin", header("drop"))
        try:
            history.advance(3)
            history.append(answered(0, Outcome.ISSUED, 20))
            line = await tick()
            assert line["readings"] == {
                "threshold:0": True,
                "threshold:1": True,
                "threshold:2": None,
            }
            assert 19 < line["figures"]["threshold:0"] < 21
            history.append(answered(1, Outcome.UNKNOWN, 900) + answered(2, Outcome.UNKNOWN, 900))
            line = await tick()
            assert line["readings"]["threshold:0"] is False
            assert line["readings"]["threshold:1"] is False
        finally:
            history.close()
