"""The processes of a run that the controller starts: traffic workers and the collector.

Orders go down their standard input as JSON lines, readings come up their standard output. Each
ends by itself when its pipe closes, so a killed controller leaves none behind. A child that
dies before it was told to ends the run.

One traffic worker is enough for most runs. A rate that one core cannot send is shared by several,
each of which takes every n-th start; they are started, told and ended as one.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gameday.clock import Clock
from gameday.errors import StackError

READY_S = 20.0
EXIT_S = 1.0
LINE_LIMIT = 4 * 1024 * 1024


class Child:
    """One child process that speaks JSON lines."""

    def __init__(self, name: str, module: str, log: Path) -> None:
        self.name = name
        self._module = module
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self.left: Callable[[], None] = lambda: None  # called when it is gone
        self._finishing = False

    async def launch(self) -> None:
        """Start the process; it waits for its configuration."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the folder gameday is called from must not shadow what a child imports
                "-m",
                self._module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_LIMIT,
                start_new_session=True,
            )

    async def start(
        self, config: Mapping[str, Any], hear: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """Hand it its configuration, and wait until it is ready."""
        self._reader = asyncio.create_task(self._listen(hear))
        self.tell(config)
        ready = asyncio.create_task(self.ready.wait())
        gone = asyncio.create_task(self.gone.wait())
        await asyncio.wait({ready, gone}, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        gone.cancel()
        if not self.ready.is_set():
            raise StackError(f"the {self.name} did not get ready:\n{self._last_words()}")

    def tell(self, order: Mapping[str, Any]) -> None:
        """Send one order. A child that is gone hears nothing; `gone` says so."""
        process = self._running()
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(json.dumps(order).encode() + b"\n")

    async def finish(self, patience_s: float, clock: Clock) -> bool:
        """Close its pipe and wait; kill it when that takes too long. True if it ended by itself."""
        self._finishing = True
        if self._process is None:
            return True
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        deadline = clock.now_ns() + int(patience_s * 1e9)
        while process.returncode is None and clock.now_ns() < deadline:
            await clock.sleep(0.02)
        by_itself = process.returncode is not None
        if not by_itself:
            process.kill()
        await process.wait()
        if self._reader is not None:
            await asyncio.wait({self._reader})
        return by_itself

    @property
    def died(self) -> bool:
        """Whether it ended without being told to."""
        return self.gone.is_set() and not self._finishing

    async def was_killed(self) -> bool:
        """Whether a signal ended it, which is no mistake of its own; for when it has died."""
        try:
            async with asyncio.timeout(EXIT_S):
                return await self._running().wait() < 0
        except TimeoutError:  # it has closed its pipe, and lives
            return False

    def last_words(self) -> str:
        """What it said that nobody understood, or the end of its log."""
        if self._reader is not None and self._reader.done():
            error = self._reader.exception()
            if error is not None:
                return repr(error)
        return self._last_words()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise StackError(f"the {self.name} was not started")
        return self._process

    async def _listen(self, hear: Callable[[Mapping[str, Any]], None]) -> None:
        stdout = self._running().stdout
        if stdout is None:
            return
        try:
            async for line in stdout:
                heard = json.loads(line)
                if heard.get("event") == "ready":
                    self.ready.set()
                else:
                    hear(heard)
        finally:  # also when it said what nobody understands: it is no longer heard
            self.gone.set()
            self.left()

    def _last_words(self) -> str:
        text = self._log.read_text(errors="replace").splitlines()
        return "\n".join(text[-20:]) or "(it said nothing)"


class Workers:
    """The traffic workers of a run, which is what a `Child` is, for all of them."""

    def __init__(self, log: Path, count: int) -> None:
        names = ["traffic worker"]
        if count > 1:
            names = [f"traffic worker {n + 1} of {count}" for n in range(count)]
        logs = [log, *(log.with_name(f"{log.stem}-{n}{log.suffix}") for n in range(1, count))]
        self._all = [
            Child(name, "gameday.traffic", log) for name, log in zip(names, logs, strict=True)
        ]
        self.gone = asyncio.Event()  # all of them
        self.left: Callable[[], None] = lambda: None
        for child in self._all:
            child.left = self._one_left

    def _one_left(self) -> None:
        if all(child.gone.is_set() for child in self._all):
            self.gone.set()
        self.left()

    @property
    def here(self) -> set[int]:
        """The numbers of those that are not gone."""
        return {n for n, child in enumerate(self._all) if not child.gone.is_set()}

    async def launch(self) -> None:
        """Start the processes; they wait for their configuration."""
        await asyncio.gather(*(child.launch() for child in self._all))

    async def start(
        self, config: Mapping[str, Any], hear: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """Hand each its configuration, and wait until all are ready.

        What they say is heard with the number of the `worker` that said it.
        """

        def hear_from(worker: int) -> Callable[[Mapping[str, Any]], None]:
            return lambda line: hear({"worker": worker, **line})

        stripes = [
            dict(config) | {"worker": n, "workers": len(self._all)} for n in range(len(self._all))
        ]
        starting = [
            child.start(stripe, hear_from(n))
            for n, (child, stripe) in enumerate(zip(self._all, stripes, strict=True))
        ]
        await asyncio.gather(*starting)

    def tell(self, order: Mapping[str, Any]) -> None:
        """Send one order to each."""
        for child in self._all:
            child.tell(order)

    async def finish(self, patience_s: float, clock: Clock) -> bool:
        """As a child's; True if all ended by themselves."""
        ended = [child.finish(patience_s, clock) for child in self._all]
        return all(await asyncio.gather(*ended))

    @property
    def _first_dead(self) -> Child:
        """One that died, or else the first."""
        return next((child for child in self._all if child.died), self._all[0])

    @property
    def name(self) -> str:
        return self._first_dead.name

    @property
    def died(self) -> bool:
        """Whether any of them ended without being told to."""
        return any(child.died for child in self._all)

    async def was_killed(self) -> bool:
        """Whether a signal ended the one that died."""
        return await self._first_dead.was_killed()

    def last_words(self) -> str:
        return self._first_dead.last_words()


class Traffic:
    """The traffic, as the controller sees it: scenarios on and off, and how far it is."""

    def __init__(self, log: Path, clock: Clock, workers: int = 1) -> None:
        self.child = Workers(log, workers)
        self.child.left = self._count
        self._clock = clock
        self.scheduled = asyncio.Event()
        self.idle = asyncio.Event()
        self.done = asyncio.Event()
        self._events = {"scheduled": self.scheduled, "idle": self.idle, "done": self.done}
        self._said: dict[str, set[int]] = {name: set() for name in self._events}
        self.refused = ""

    def hear(self, line: Mapping[str, Any]) -> None:
        """One line of a worker."""
        if line["event"] in self._said:
            self._said[line["event"]].add(int(line.get("worker", 0)))
            self._count()
        if line["event"] == "refused":
            self.refused = line["why"]

    def _count(self) -> None:
        """What is true of all workers that are there is true of the traffic."""
        for name, event in self._events.items():
            said = self._said[name]
            if said and said >= self.child.here:
                event.set()

    def begin(self, t0_ns: int) -> None:
        self.child.tell({"cmd": "start", "t0_ns": t0_ns})

    async def on(self, scenario: dict[str, Any]) -> None:
        for name in ("scheduled", "idle"):
            self._events[name].clear()
            self._said[name].clear()
        body = {
            "name": scenario["scenario"],
            "rate_per_s": scenario["rate_per_s"],
            "duration_s": scenario["duration_s"],
        }
        self.child.tell({"cmd": "on", "scenario": body, "at_ns": self._clock.now_ns()})

    async def off(self, scenario: str) -> None:
        self.child.tell({"cmd": "off", "name": scenario})

    def stop(self, grace_s: float) -> None:
        self.child.tell({"cmd": "stop", "grace_s": grace_s})
