"""Delivery: every channel has a thread, which brings it one notice after the other.

Whoever has something to say hands it over and goes on: a channel that hangs, refuses or floods
delays nobody and fails nothing. An attempt is bounded in time and in what is read of its answer;
attempts are bounded in number; a `Retry-After` is obeyed up to a limit, beyond which the notice is
given up; what waits is bounded, and what is too much is dropped. All of that is noted, a line for
each attempt, in `notifications.jsonl`, without the address.

A notice is delivered at least once: one whose answer was lost is sent again, under the same id.
"""

import json
import os
import queue
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from secrets import token_hex
from typing import Final

from gameday.core.clock import NS, SystemClock, utc_now
from gameday.core.errors import GamedayError
from gameday.core.network import event_loop
from gameday.core.network.allow_list import Allowed
from gameday.core.network.http import Answer, HttpClient, HttpError
from gameday.core.secrets.redaction import Hidden
from gameday.report.notify.channels import Channel, ConsoleChannel, HttpChannel, Letter, channels
from gameday.report.notify.notice import Notice, cleaned

FILE: Final = "notifications.jsonl"
TOO_MANY: Final = 429
NOTE_S: Final = 0.5  # of the last seconds: to note an attempt that was cut off
MOST_NOTED: Final = 10_000  # attempts in one file; a run has a handful


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """How hard a delivery is tried."""

    attempts: int = 4
    attempt_s: float = 5.0  # webhooks answer in tens of ms
    first_wait_s: float = 1.0  # doubled after each attempt
    retry_after_s: float = 60.0  # as long as a Retry-After is obeyed; Slack asks for 1 to 30
    answer_bytes: int = 64_000  # Slack's answer is "ok"
    waiting: int = 50  # notices of one channel; a run has eight


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at a delivery, as it is noted. `status` is 0 where nothing came.

    `outcome`: `delivered`, `retried`, `given_up`, or `dropped` where too many were waiting.
    """

    at: str
    id: str
    event: str
    channel: str
    attempt: int
    status: int
    outcome: str
    why: str
    took_s: float


class AttemptLog:
    """The attempts, in memory and in a file of their own, where there is a place for one.

    A file that cannot be written is done without: nothing depends on it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.attempts: list[Attempt] = []

    def note(self, attempt: Attempt) -> None:
        with self._lock:
            if len(self.attempts) >= MOST_NOTED:
                return
            self.attempts.append(attempt)
            if self._path is not None:
                try:
                    _append(self._path, json.dumps(asdict(attempt)).encode() + b"\n")
                except OSError:
                    self._path = None


def _append(path: Path, line: bytes) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(path, flags, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


class Outbox:
    """Takes notices for every channel. `put` never waits; `close` waits as long as it is told."""

    def __init__(
        self,
        to: Sequence[Channel],
        log: AttemptLog | None = None,
        limits: DeliveryLimits | None = None,
        language: str = "en",
    ) -> None:
        self.log = log or AttemptLog()
        self._language = language
        self._carriers = [_Carrier(each, self.log, limits or DeliveryLimits()) for each in to]

    def put(self, notice: Notice) -> None:
        """Hand a notice over to every channel."""
        letter = Letter(token_hex(8), notice, self._language)
        for carrier in self._carriers:
            carrier.put(letter)

    def finish(self, within_s: float) -> None:
        """Take no more, and let what waits be delivered within this time, while others go on."""
        for carrier in self._carriers:
            carrier.finish(within_s)

    def close(self, within_s: float) -> None:
        """The same, and wait here for its end, but no longer."""
        self.finish(within_s)
        end_ns = SystemClock.now_ns() + round(within_s * NS)
        for carrier in self._carriers:
            carrier.join(max(0.0, (end_ns - SystemClock.now_ns()) / NS))


class _Carrier:
    """The thread of one channel. It is a daemon: it keeps no process from ending."""

    def __init__(self, channel: Channel, log: AttemptLog, limits: DeliveryLimits) -> None:
        self._channel = channel
        self._log = log
        self._limits = limits
        self._queue: queue.Queue[Letter | None] = queue.Queue(limits.waiting + 1)
        self._changed = threading.Condition()
        self._end_ns: int | None = None
        self._thread = threading.Thread(
            target=self._work, name=f"notify {channel.name}", daemon=True
        )
        self._thread.start()

    def put(self, letter: Letter) -> None:
        if self._end_ns is None and self._queue.qsize() < self._limits.waiting:
            self._queue.put_nowait(letter)
        else:
            why = "over" if self._end_ns is not None else "queue_full"
            self._note(letter, 0, _Outcome("dropped", why))

    def finish(self, within_s: float) -> None:
        with self._changed:
            if self._end_ns is not None:
                return
            note_s = min(NOTE_S, within_s / 4)
            self._end_ns = SystemClock.now_ns() + round((within_s - note_s) * NS)
            self._queue.put_nowait(None)
            self._changed.notify_all()

    def join(self, within_s: float) -> None:
        self._thread.join(within_s)

    def _work(self) -> None:
        while (letter := self._queue.get()) is not None:
            self._deliver(letter)
            if not self._queue.empty():
                self._wait(self._channel.pause_s)

    def _deliver(self, letter: Letter) -> None:
        for attempt in range(1, self._limits.attempts + 1):
            begun_ns = SystemClock.now_ns()
            outcome = self._try(letter)
            took_s = round((SystemClock.now_ns() - begun_ns) / NS, 3)
            wait_s = outcome.retry_after_s
            if wait_s is None:
                wait_s = self._limits.first_wait_s * 2 ** (attempt - 1)
            goes_on = (
                outcome.word == "retried"
                and attempt < self._limits.attempts
                and wait_s <= self._limits.retry_after_s
                and wait_s < self._left_s()
            )
            if outcome.word == "retried" and not goes_on:
                outcome = _Outcome("given_up", outcome.why, outcome.status, outcome.retry_after_s)
            self._note(letter, attempt, outcome, took_s)
            if not goes_on or not self._wait(wait_s):
                return

    def _left_s(self) -> float:
        end_ns = self._end_ns
        return float("inf") if end_ns is None else (end_ns - SystemClock.now_ns()) / NS

    def _wait(self, seconds: float) -> bool:
        """Wait; False when the end came meanwhile and lies before the end of the waiting."""
        until_ns = SystemClock.now_ns() + round(seconds * NS)
        with self._changed:
            while (left_s := (until_ns - SystemClock.now_ns()) / NS) > 0:
                if self._left_s() < left_s:
                    return False
                self._changed.wait(left_s)
        return True

    def _try(self, letter: Letter) -> "_Outcome":
        """One attempt."""
        if self._left_s() <= 0:
            return _Outcome("given_up", "time_over")
        if isinstance(self._channel, ConsoleChannel):
            self._channel.say(letter.notice.plain(letter.language))
            return _Outcome("delivered")
        assert isinstance(self._channel, HttpChannel)
        return _ask(
            self._channel, letter, min(self._limits.attempt_s, self._left_s()), self._limits
        )

    def _note(self, letter: Letter, attempt: int, outcome: "_Outcome", took_s: float = 0.0) -> None:
        self._log.note(
            Attempt(
                at=utc_now().isoformat(timespec="milliseconds"),
                id=letter.id,
                event=letter.notice.event,
                channel=self._channel.name,
                attempt=attempt,
                status=outcome.status,
                outcome=outcome.word,
                why=outcome.why,
                took_s=took_s,
            )
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of an attempt: `delivered`, `retried` where it may be tried again, or else."""

    word: str
    why: str = ""
    status: int = 0
    retry_after_s: float | None = None


def _ask(channel: HttpChannel, letter: Letter, within_s: float, limits: DeliveryLimits) -> _Outcome:
    """Send it, on a loop that reaches this host and no other."""
    base = channel.address.base
    hide = Hidden([channel.url, base.prefix, *base.prefix.split("/"), base.query])

    async def ask() -> Answer:
        verify = ssl.create_default_context() if base.is_tls else False
        async with HttpClient(within_s, verify=verify, most_bytes=limits.answer_bytes) as client:
            client.hide = hide
            return await client.ask(channel.ask(letter))

    try:
        answer = event_loop.run(ask(), Allowed([base.host]))
    except HttpError as error:
        if 200 <= error.status < 300:
            return _Outcome("delivered", hide(error.message), error.status)  # it was taken
        return _Outcome("retried", hide(error.message), error.status)
    except (GamedayError, OSError) as error:
        return _Outcome("given_up", hide(cleaned(str(error))))
    return _judged(answer)


def _judged(answer: Answer) -> _Outcome:
    """What an answer means."""
    status = answer.status
    if 200 <= status < 300:
        return _Outcome("delivered", status=status)
    if status == TOO_MANY or status >= 500:
        after_s = _retry_after_s(answer.headers.get("retry-after", ""))
        asked = "" if after_s is None else f", retry-after {after_s:g} s"
        return _Outcome("retried", f"{status}{asked}", status, after_s)
    return _Outcome(
        "given_up", f"{status}, redirect" if 300 <= status < 400 else f"{status}", status
    )


def _retry_after_s(text: str) -> float | None:
    """The seconds that a `Retry-After` asks for: a number, or a date. None for anything else."""
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - utc_now()).total_seconds())


def announce(
    notice: Notice,
    log: Path | None = None,
    *,
    within_s: float = 10.0,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] | None = None,
    language: str = "en",
) -> Sequence[Attempt]:
    """Tell every channel of the environment, and wait for it, for `within_s` at the most.

    `log` is the folder in which attempts are noted; `say` prints a text on the terminal, for
    `GAMEDAY_NOTIFY=console`. It raises nothing but KeyboardInterrupt.
    """
    to = channels(os.environ if environment is None else environment, say)
    noted = AttemptLog(None if log is None else log / FILE)
    if not to:
        return ()
    outbox = Outbox(to, noted, language=language)
    outbox.put(notice)
    outbox.close(within_s)
    return tuple(noted.attempts)
