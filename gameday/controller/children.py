"""The processes of a run that the controller starts: the traffic worker and the collector.

Orders go down their standard input as JSON lines, readings come up their standard output. Each
ends by itself when its pipe closes, so a killed controller leaves none behind. A child that
dies before it was told to ends the run.
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

    def _last_words(self) -> str:
        text = self._log.read_text(errors="replace").splitlines()
        return "\n".join(text[-20:]) or "(it said nothing)"


class Traffic:
    """The traffic worker, as the controller sees it: scenarios on and off, and how far it is."""

    def __init__(self, log: Path, clock: Clock) -> None:
        self.child = Child("traffic worker", "gameday.traffic", log)
        self._clock = clock
        self.scheduled = asyncio.Event()
        self.idle = asyncio.Event()
        self.done = asyncio.Event()
        self.refused = ""

    def hear(self, line: Mapping[str, Any]) -> None:
        """One line of the worker."""
        events = {"scheduled": self.scheduled, "idle": self.idle, "done": self.done}
        if line["event"] in events:
            events[line["event"]].set()
        if line["event"] == "refused":
            self.refused = line["why"]

    def begin(self, t0_ns: int) -> None:
        self.child.tell({"cmd": "start", "t0_ns": t0_ns})

    async def on(self, scenario: dict[str, Any]) -> None:
        self.scheduled.clear()
        self.idle.clear()
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
