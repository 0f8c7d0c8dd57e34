"""The parts of the collector: the text format, the grid, asking targets, writing samples."""

import asyncio
import math
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gameday.core.clock import NS
from gameday.core.errors import UsageError
from gameday.core.secrets.redaction import distinct
from gameday.spec.tls import Tls
from gameday.telemetry import samples
from gameday.telemetry.collector import text_format
from gameday.telemetry.collector.grid import Grid
from gameday.telemetry.collector.samples_writer import SamplesWriter
from gameday.telemetry.collector.scrape import Scraper
from gameday.telemetry.collector.settings import ScrapeTarget, parse_settings
from gameday.telemetry.collector.text_format import MOST_SERIES, ExpositionError, Reader
from gameday.telemetry.promql.labels import labels, value_of
from gameday.telemetry.sources import source

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A raw TCP server on a free port; the address of its metrics."""
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await handler(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def answering(text: str, status: str = "200 OK") -> Handler:
    raw = f"HTTP/1.1 {status}\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(raw)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return handle


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf 1\n")
    await writer.drain()
    await reader.read()


async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def babbling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x00\xff not HTTP at all\r\n\r\n")
    writer.close()


def test_labels_are_read_as_prometheus_writes_them() -> None:
    text = (
        "# HELP a_total what\n# TYPE a_total counter\n"
        'a_total{path="/x",quote="a\\"b}c",back="\\\\n",line="1\\n2"} 3 1700000000000\n'
        "plain 1.5e3\nnothing{} +Inf\n  \n# a comment } 7\nb{} NaN"
    )
    found = Reader({"instance": "one"}).read(text)
    one = {"instance": "one"}
    odd = {"path": "/x", "quote": 'a"b}c', "back": "\\n", "line": "1\n2"}
    assert found[labels("a_total", **odd, **one)] == 3
    assert found[labels("plain", **one)] == 1500
    assert found[labels("nothing", **one)] == math.inf
    assert math.isnan(found[labels("b", **one)])
    assert len(found) == 4


def test_what_the_client_library_writes_is_read_whole_and_again_from_memory() -> None:
    registry = CollectorRegistry()
    asked = Counter("asked", "Requests.", ["outcome"], registry=registry)
    took = Histogram("took_seconds", "Time.", buckets=(0.1, 1), registry=registry)
    reader = Reader({"instance": "x"})
    for count in (1, 2):
        asked.labels("issued").inc()
        took.observe(0.05)
        found = reader.read(generate_latest(registry).decode())
        assert found[labels("asked_total", outcome="issued", instance="x")] == count
        assert found[labels("took_seconds_bucket", le="0.1", instance="x")] == count
        assert found[labels("took_seconds_bucket", le="+Inf", instance="x")] == count


def test_a_label_of_the_target_that_is_ours_is_moved_aside() -> None:
    found = Reader({"instance": "ours"}).read('m{instance="theirs"} 1\n')
    assert list(found) == [labels("m", exported_instance="theirs", instance="ours")]


def test_a_target_cannot_say_what_only_gameday_says() -> None:
    """Guards and charts sum `k6_*` over every label, so no target may add to it."""
    text = 'k6_http_reqs_total{outcome="issued"} 1e9\n{"k6_vus"} 3\n{__name__="k6_vus_max"} 3\n'
    found = Reader({"instance": "x"}).read(text + 'up{job="y"} 0\nupper 1\nmy_k6_thing 1\n')
    names = {value_of(series, "__name__") for series in found}
    assert names == {
        "exported_k6_http_reqs_total",
        "exported_k6_vus",
        "exported_k6_vus_max",
        "exported_up",
        "upper",
        "my_k6_thing",
    }


@pytest.mark.parametrize("line", ['m{a="%d"} 1\n', "m%d 1\n", "same %d\n"])
def test_more_series_than_are_kept_are_not_even_parsed(line: str) -> None:
    reader = Reader({})
    most = "".join(line % n for n in range(MOST_SERIES))
    with pytest.raises(ExpositionError, match="more than 20000 series"):
        reader.read(most + "this would not parse\n")
    with pytest.raises(ExpositionError, match="not a sample"):
        reader.read("{this would not parse\n")


@pytest.mark.parametrize(
    "text",
    ["<html><body>no</body></html>", "m{a=b} 1", "m{} x", "m", "m{}", "m 1 2 3", "{} 1", "m} 1"],
)
def test_garbage_is_refused_whole(text: str) -> None:
    with pytest.raises(ExpositionError):
        Reader({}).read(f"good 1\n{text}\n")


@given(
    start=st.integers(0, 10**12),
    period=st.sampled_from([NS, NS // 4, 7]),
    last=st.none() | st.integers(0, 50),
    late=st.integers(-(10**11), 10**11),
)
def test_instants_lie_on_the_grid_and_never_go_back(
    start: int, period: int, last: int | None, late: int
) -> None:
    grid = Grid(start, period)
    last_ns = None if last is None else start + last * period
    now_ns = start + late
    instant = grid.next_after(last_ns, now_ns)
    assert (instant - start) % period == 0
    assert instant >= start
    assert last_ns is None or instant > last_ns
    assert now_ns - instant <= period // 2
    earlier = instant - period
    assert earlier < start or earlier == last_ns or now_ns - earlier > period // 2


def test_a_late_tick_is_left_out_and_the_next_keeps_its_time() -> None:
    grid = Grid(0, NS)
    assert grid.next_after(0, int(0.3 * NS)) == NS
    assert grid.next_after(NS, int(2.4 * NS)) == 2 * NS
    assert grid.next_after(NS, int(2.6 * NS)) == 3 * NS
    assert grid.next_after(NS, int(7.9 * NS)) == 8 * NS


async def test_targets_that_hang_die_or_talk_nonsense_are_down_and_hold_up_nobody() -> None:
    async with (
        serving(answering("m 1\n")) as good,
        serving(hanging) as hangs,
        serving(dying) as dies,
        serving(babbling) as babbles,
        serving(answering("<html>sorry</html>")) as talks,
        serving(answering("m 1\n", "503 Unavailable")) as refuses,
    ):
        async with serving(dying) as closed:
            pass
        urls = [good, hangs, dies, babbles, talks, refuses, closed]
        scraper = Scraper(
            [ScrapeTarget(name=f"t{i}", url=url) for i, url in enumerate(urls)], 0.5, Tls()
        )
        try:
            for _ in range(2):
                first, *others = await scraper.ask_all()
                assert first.up
                assert first.series == {labels("m", instance="t0"): 1.0}
                assert not any(answer.up or answer.series for answer in others)
                assert "0.5 s" in others[0].problem
                assert "503" in others[4].problem
        finally:
            await scraper.close()


def test_samples_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    writer = SamplesWriter(path)
    a, b = labels("m", x="1"), labels("m", x="2")
    alert = samples.AlertLine({"alertname": "A"}, "firing", 5)
    live = samples.LiveEvaluation(
        t_ns=10, readings={"o": None}, figures={"o": 1.5}, alerts=[alert], up={"t": True}
    )
    writer.write({a: 1.0}, live)
    writer.write({b: math.nan, a: 2.0}, replace(live, t_ns=20, up={"t": False}))
    writer.close()

    first, evaluated, second, _ = samples.read(path)

    assert first == samples.Scrape(10, [(dict(a), 1.0)])
    assert isinstance(evaluated, samples.Evaluation)
    assert evaluated.alerts == (alert,)
    assert evaluated.readings == {"o": None}
    assert isinstance(second, samples.Scrape)
    assert [dict(series)["x"] for series, _ in second.values] == ["2", "1"]
    with pytest.raises(FileExistsError):
        SamplesWriter(path)


@pytest.mark.parametrize("line", [b"", b"{}", b"nonsense", b'{"samples": "x", "period_ns": 0}'])
def test_settings_that_cannot_be_used_are_a_usage_error(line: bytes) -> None:
    with pytest.raises(UsageError):
        parse_settings(line)


def test_what_a_target_ever_said_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_format, "LONGEST", 50_000)
    reader = Reader({})
    tracemalloc.start()
    try:
        for n in range(20):
            heads = [f'm{{a="{n}-{m}",b="{"x" * 6_000}"}} 1\n' for m in range(10)]
            assert len(reader.read("".join(heads))) == 10
            heads.clear()
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 600_000, "of 1.2 MB that it said, and as much for the labels"


def test_a_target_whose_labels_change_each_time_is_down_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "MOST_DIFFERENT", 1_000)
    reader = Reader({})
    for n in range(10):
        reader.read("".join(f'm{{a="{n}-{m}"}} 1\n' for m in range(100)))
    with pytest.raises(ExpositionError, match="more than 1000 different series"):
        reader.read('m{a="another"} 1\n')
    again = Reader({})
    for _ in range(3):
        assert len(again.read("".join(f'm{{a="{m}"}} 1\n' for m in range(900)))) == 900


def test_the_labels_of_all_series_of_a_target_are_bounded_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "MOST_BYTES", 1_000_000)
    reader = Reader({})
    many = ",".join(f'a{n}="1"' for n in range(1_000))
    with pytest.raises(ExpositionError, match="more than 14 different series since the run began"):
        for n in range(20):
            reader.read(f'm{{n="{n}",{many}}} 1\n')


def test_labels_that_are_masked_alike_are_told_apart_at_once(tmp_path: Path) -> None:
    """Numbered one after the other; tried from 2 on each time, these took minutes."""
    names = [f"a{n}" for n in range(30_000)]
    writer = SamplesWriter(tmp_path / "samples.jsonl", hide_label=lambda _: "***")
    live = samples.LiveEvaluation(t_ns=10, readings={}, figures={}, alerts=[])
    writer.write({labels("m", **dict.fromkeys(names, "1")): 1.0}, live)
    writer.close()
    (first, _) = samples.read(tmp_path / "samples.jsonl")
    assert isinstance(first, samples.Scrape)
    assert len(first.values[0][0]) == 30_001
    assert distinct(["a", "a", "a-2", "a", "b"]) == ["a", "a-2", "a-2-2", "a-3", "b"]
