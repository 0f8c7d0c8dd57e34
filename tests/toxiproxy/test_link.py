"""A link, driven by Hypothesis: whatever is done to its toxics, bytes come out as they went in."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.core.clock import SystemClock
from gameday.toxiproxy.link import Link
from gameday.toxiproxy.settings import HELD_BYTES_MAX, HeldBytes
from gameday.toxiproxy.timers import Alarms
from gameday.toxiproxy.toxics.bandwidth import BandwidthToxic
from gameday.toxiproxy.toxics.slicer import SlicerToxic
from gameday.toxiproxy.toxics.stage import MS, Chunk, Outlet, Toxic


class Wire:
    """An end in memory: it keeps what is written, and has room or not as the test says."""

    def __init__(self) -> None:
        self.has_room = True
        self.got = bytearray()
        self.ended = False
        self.receiver: Callable[[bytes], object] = self.write
        self.paused = False

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.got += data

    def deliver_to(self, receiver: Callable[[bytes], object]) -> None:
        self.receiver = receiver

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def end(self) -> None:
        self.ended = True

    def close(self, *, reset: bool = False) -> None:
        self.ended = True


ATTRIBUTES = {
    "noop": st.just({}),
    "latency": st.fixed_dictionaries({"latency": st.integers(-1, 4), "jitter": st.integers(-1, 4)}),
    "bandwidth": st.fixed_dictionaries({"rate": st.sampled_from([0, 20_000, 1_000_000])}),
    "slicer": st.fixed_dictionaries(
        {
            "average_size": st.sampled_from([0, 1, 500, 40_000]),
            "size_variation": st.sampled_from([0, 3, 90_000]),
            "delay": st.sampled_from([0, 20]),
        }
    ),
    "slow_close": st.fixed_dictionaries({"delay": st.integers(-1, 5)}),
    "limit_data": st.just({"bytes": 1 << 60}),
}


@st.composite
def toxics(draw: st.DrawFn) -> Toxic:
    kind = draw(st.sampled_from(sorted(ATTRIBUTES)))
    toxicity = draw(st.sampled_from([0.0, 0.5, 1.0]))
    return Toxic("t", kind, "upstream", toxicity, dict(draw(ATTRIBUTES[kind])))


ACTIONS = st.one_of(
    st.tuples(st.just("feed"), st.sampled_from([1, 100, 33_000, 200_000])),
    st.tuples(st.just("add"), toxics()),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("toxicity"), st.sampled_from([0.0, 1.0])),
    st.tuples(st.just("room"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 3)),
)


class Driver:
    """Does to one link what the actions say."""

    def __init__(self, held: HeldBytes | None = None) -> None:
        self.source, self.sink = Wire(), Wire()
        self.ends = 0
        self.toxics: list[Toxic] = []
        self.fed = bytearray()
        self.alarms = Alarms(SystemClock())
        self.link = Link(
            self.source,
            self.sink,
            alarms=self.alarms,
            chance=(1, "p/1"),
            count=False,
            held=held or HeldBytes(),
        )
        self.link.on_end = self._ended
        self.link.apply([])

    def _ended(self, link: Link) -> None:
        assert link is self.link
        self.ends += 1
        self.sink.ended = True

    def feed(self, size: int) -> None:
        data = bytes((len(self.fed) + i) % 251 for i in range(size))
        self.fed += data
        self.source.receiver(data)

    def add(self, toxic: Toxic) -> None:
        toxic.name = f"t{len(self.toxics)}"
        self.toxics.append(toxic)
        self.link.apply(self.toxics)

    def remove(self, index: int) -> None:
        del self.toxics[index : index + 1]
        self.link.apply(self.toxics)

    def toxicity(self, value: float) -> None:
        for toxic in self.toxics[:1]:
            toxic.toxicity = value
        self.link.apply(self.toxics)

    def room(self, there_is: bool) -> None:
        self.sink.has_room = there_is
        self.link.run()


async def play(actions: list[tuple[str, object]]) -> Driver:
    driver = Driver()
    for name, argument in actions:
        if name == "wait":
            await asyncio.sleep(int(str(argument)) / 1000)
        else:
            getattr(driver, name)(argument)
    driver.link.source_ended()
    driver.room(there_is=True)
    for toxic in driver.toxics:
        if toxic.attributes.get("rate") == 0:
            toxic.attributes["rate"] = 1_000_000
    driver.link.run()
    async with asyncio.timeout(20):
        while not driver.link.done:
            await asyncio.sleep(0.001)
    driver.alarms.close()
    return driver


@settings(max_examples=40)
@given(st.lists(ACTIONS, max_size=14))
def test_bytes_in_are_bytes_out_and_the_end_comes_once_and_last(
    actions: list[tuple[str, object]],
) -> None:
    driver = asyncio.run(play(actions))
    assert driver.sink.got == driver.fed
    assert driver.ends == 1


def test_a_link_without_toxics_hands_the_bytes_straight_to_the_sink() -> None:
    driver = Driver()
    assert driver.source.receiver == driver.sink.write


def test_a_full_sink_stops_the_source_and_room_starts_it_again() -> None:
    async def scene() -> None:
        driver = Driver()
        driver.room(there_is=False)
        assert driver.source.paused
        driver.room(there_is=True)
        assert not driver.source.paused

    asyncio.run(scene())


class Outflow:
    """What a stage lets go into, and when."""

    def __init__(self) -> None:
        self.has_room = True
        self.pieces: list[tuple[int, int]] = []

    def put(self, chunk: Chunk, now_ns: int) -> None:
        self.pieces.append((now_ns // MS, len(chunk.data)))

    def end(self, now_ns: int) -> None:
        raise AssertionError(f"nothing ends here, yet it did at {now_ns}")

    def reset(self) -> None:
        raise AssertionError("nothing resets here")


def test_bandwidth_goes_in_pieces_of_a_tenth_of_a_second_and_a_stall_is_not_made_up_for() -> None:
    outflow = Outflow()
    out: Outlet = outflow
    toxic = Toxic("b", "bandwidth", "upstream", 1, {"rate": 10})
    stage = BandwidthToxic(toxic, out, 1, "p", 0)
    stage.put(Chunk(b"x" * 2500, 0), 0)
    for now_ms in range(0, 300, 50):
        stage.step(now_ms * MS)
    assert outflow.pieces == [(100, 1000), (200, 1000), (250, 500)]
    toxic.attributes["rate"] = 0
    stage.put(Chunk(b"x" * 5000, 300 * MS), 300 * MS)
    stage.step(9000 * MS)
    assert len(outflow.pieces) == 3
    toxic.attributes["rate"] = 10
    stage.step(9001 * MS)
    assert sum(size for _, size in outflow.pieces) <= 2500 + 2000


@given(
    size=st.integers(1, 32_768),
    average=st.integers(0, 2000),
    variation=st.integers(0, 4000),
)
def test_slices_add_up_and_none_is_larger_than_average_and_variation(
    size: int, average: int, variation: int
) -> None:
    outflow = Outflow()
    attributes = {"average_size": average, "size_variation": variation, "delay": 0}
    stage = SlicerToxic(Toxic("s", "slicer", "upstream", 1, attributes), outflow, 1, "p", 0)
    stage.put(Chunk(b"x" * size, 0), 0)
    stage.step(0)
    sizes = [piece for _, piece in outflow.pieces]
    assert sum(sizes) == size
    assert min(sizes) > 0
    if average:
        assert max(sizes) <= max(1, average + variation)


def test_what_was_read_while_others_held_too_much_comes_out_without_another_reason() -> None:
    """The last part of a message waits unread in the link, and nothing else ever comes."""

    async def scene() -> None:
        held = HeldBytes()
        driver = Driver(held)
        driver.add(Toxic("", "latency", "upstream", 1.0, {"latency": 20, "jitter": 0}))
        driver.feed(256_000)
        held.total += HELD_BYTES_MAX  # of others
        driver.feed(44_000)
        async with asyncio.timeout(20):
            while len(driver.sink.got) < 300_000:
                await asyncio.sleep(0.001)
        assert driver.sink.got == driver.fed
        assert held.total == HELD_BYTES_MAX
        driver.alarms.close()

    asyncio.run(scene())


def test_links_that_hold_too_much_together_read_no_more_but_none_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gameday.toxiproxy.link.HELD_BYTES_MAX", 1_000_000)

    async def scene() -> None:
        held = HeldBytes()
        late = {"latency": 20, "jitter": 0}
        drivers = [Driver(held) for _ in range(4)]
        full, *others = drivers
        for driver in drivers:
            driver.add(Toxic("", "latency", "upstream", 1.0, dict(late)))
            driver.room(there_is=False)
        while not full.source.paused:
            full.feed(32_768)
        assert held.total == len(full.fed) > 1_000_000  # so far one link alone
        assert len(full.fed) < 1_100_000
        for driver in others:
            while not driver.source.paused:
                driver.feed(32_768)
            assert len(driver.fed) == 3 * 32_768  # the first that is more than what is left
        others[0].room(there_is=True)
        async with asyncio.timeout(20):
            while others[0].source.paused or others[0].sink.got != others[0].fed:
                await asyncio.sleep(0.001)
        for driver in drivers:
            driver.link.stop()
            driver.alarms.close()
        assert held.total == 0

    asyncio.run(scene())
