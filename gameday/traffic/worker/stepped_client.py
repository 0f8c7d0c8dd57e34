"""Sends starts that are more than one request: steps before the issue, and a question after it.

For the loops and the worker it is a `Client`. Inside there is one for each kind of request, so each
has its own time limit, its own connections and its own reading of answers; the issue's is the same
as ever, and its record says what it always said. All else goes to the step log.

A step that fails ends its start: the issue is never asked. It is `refused` then, with the reason
`step-failed` (`step-unanswered` where no answer came, or an error of the server), or `unknown`
where a step may have reserved something meanwhile: one that is done for each attempt and is no GET.
An interrupted one is `unknown`, as every request that is interrupted.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from gameday.core.clock import Clock, wall_time_ns
from gameday.core.network.allow_list import Allowed
from gameday.core.network.urls import Base
from gameday.core.units import seconds
from gameday.traffic.escapes import Captured, UnfitError
from gameday.traffic.history import Outcome, Reason
from gameday.traffic.schedule.users import key
from gameday.traffic.step_log import POLL
from gameday.traffic.worker.answer_mask import AnswerMask
from gameday.traffic.worker.captures import IssueAnswers, PollAnswers, StepAnswers, StepReading
from gameday.traffic.worker.classify import Reading
from gameday.traffic.worker.client import Client, ClientSettings, OnUnmatched, Reads, StartSource
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.connection import Address, Connection
from gameday.traffic.worker.cookie_jar import CookieJar
from gameday.traffic.worker.errand import Errand, Leg
from gameday.traffic.worker.filled_request import FilledRequest, columns_of
from gameday.traffic.worker.recorder import Start
from gameday.traffic.worker.sent_requests import SentPoll, SentStep
from gameday.traffic.worker.step_failures import StepFailures
from gameday.traffic.worker.step_recorder import StepEnd, StepRecorder
from gameday.traffic.worker.step_sources import LEFT_OPEN, BesideSource, IssueSource, StepSource
from gameday.traffic.worker.tls import TlsClient
from gameday.traffic.worker.unmatched_answers import UnmatchedAnswers
from gameday.traffic.worker.visitors import Visitors
from gameday.traffic.worker.vu_pool import Vu

MOST_POLLED: Final = 10_000  # issues of a worker whose decision is waited for at once
REST_S: Final = 0.1  # of a virtual user whose start failed without a request: no busy waiting
_ANSWERED: Final = (Reason.UNMATCHED, Reason.CAPTURE, Reason.INTERRUPTED)
"""Why a step failed that is no failure of the server to answer."""
_NO_ANSWER: Final = Reading(Outcome.UNKNOWN, Reason.CAPTURE)


class SteppedClient:
    """All connections of one worker to one system, whose starts have steps."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        after: Callable[[], None],
        tls: TlsClient | None,
        say: Callable[[bytes], None] = lambda _line: None,
    ) -> None:
        self.now: Callable[[], int] = clock.now_ns
        self.tls = tls
        self.most_open = 1
        self.open: dict[Errand, None] = {}
        self._config = config
        self._loop = asyncio.get_running_loop()
        columns = columns_of(config)
        captured: list[str] = []

        mask = AnswerMask(config, columns)
        self._unmatched = UnmatchedAnswers(mask, say)

        def client(
            answers: Reads, timeout_s: float, on_unmatched: OnUnmatched | None = None
        ) -> Client:
            settings = ClientSettings(
                answers=answers,
                timeout_s=timeout_s,
                idempotent=config.replay == "idempotent",
                tls=tls,
                on_unmatched=on_unmatched,
            )
            return Client(settings, clock, after)

        self._steps: list[SentStep] = []
        for index, (name, step) in enumerate(config.before.items()):
            filled = FilledRequest(config, step, columns=columns, captured=captured)
            made = client(StepAnswers(step), seconds(step.timeout))
            self._steps.append(SentStep(index, name, step, filled, made, mix=config.mix))
            captured += step.capture
        issue = config.request
        self.issue = FilledRequest(config, issue, columns=columns, captured=captured)
        self._issuing = client(IssueAnswers(issue), seconds(issue.timeout), self._on_unmatched)
        self._poll: SentPoll | None = None
        if issue.poll is not None:
            filled = FilledRequest(
                config, issue.poll, columns=columns, captured=[*captured, *issue.capture]
            )
            made = client(PollAnswers(issue), seconds(issue.poll.timeout))
            self._poll = SentPoll(issue.poll, filled, made)
        self._polled: dict[Errand, None] = {}
        self._visitors = Visitors()
        self._jar = _jar(config, clock)
        self._failures = StepFailures(mask)
        self._sources: dict[tuple[StartSource, str], StepSource] = {}

    @property
    def names(self) -> list[str]:
        """The steps as the log numbers them, the poll last."""
        return [*(step.name for step in self._steps), POLL]

    # As a client.

    @property
    def addresses(self) -> list[Address]:
        return self._issuing.addresses

    @property
    def busy(self) -> bool:
        """True if some start is not over."""
        return bool(self.open or self._polled) or self._issuing.busy

    async def resolve(self, origin: Base, allowed: Allowed) -> None:
        """As `Client.resolve`: once for all of them."""
        await self._issuing.resolve(origin, allowed)
        for client in self._all:
            client.addresses = self._issuing.addresses

    @property
    def _all(self) -> list[Client]:
        polling = [self._poll.client] if self._poll is not None else []
        return [self._issuing, *(step.client for step in self._steps), *polling]

    def send(self, book: StartSource, starts: Iterable[Start]) -> None:
        """Send starts; those whose steps are done already go out together."""
        errands = [Errand(book, start, None) for start in starts]
        self.open.update(dict.fromkeys(errands))
        self._issue_all([errand for errand in errands if self._advance(errand)])

    def send_by(self, vu: Vu, book: StartSource, start: Start) -> None:
        """Send the start of a virtual user."""
        errand = Errand(book, start, vu)
        self.open[errand] = None
        if self._advance(errand):
            self._issue_all([errand])

    def close_idle(self) -> None:
        for client in self._all:
            client.close_idle()

    def interrupt(self, book: StartSource, vus: Collection[Vu] | None = None) -> None:
        """End what is open of one scenario, or of some of its virtual users."""
        self._issuing.interrupt(self._source(book, "issue"), vus)
        for errand in [*self.open, *self._polled]:
            if errand.book is book and (vus is None or errand.vu in vus):
                self._abandon(errand)

    def close(self) -> None:
        """End every start, then every connection."""
        self._issuing.close()
        for errand in [*self.open, *self._polled]:
            self._abandon(errand)
        for client in self._all[1:]:
            client.close()

    # The way through the steps.

    def _advance(self, errand: Errand) -> bool:
        """Do the next step that is to be done; True if there is none, and the issue is next."""
        while errand.at < len(self._steps):
            step = self._steps[errand.at]
            if not step.once:
                if errand.times < step.times(errand.book.recorder.name, errand.k):
                    errand.times += 1
                    self._ask_step(errand, step)
                    return False
                errand.at += 1
                errand.times = 0
                continue
            visitor = self._visitors.meet(errand.user)
            if step.index not in visitor.done:
                waiting = visitor.waiting.get(step.index)
                if waiting is not None:
                    errand.began_ns = self.now()
                    waiting.append(errand)
                    return False
                visitor.waiting[step.index] = []
                self._ask_step(errand, step)
                return False
            errand.at += 1
        return True

    def _values(self, errand: Errand) -> Captured:
        """Everything that was captured for a start so far."""
        own = self._visitors.captured(errand.user)
        return {**own, **errand.captured} if errand.captured else own

    def _render(self, filled: FilledRequest, errand: Errand, attempt: int = 1) -> bytes:
        """The bytes of a request. Raises UnfitError."""
        name = key(self._config.run, errand.book.recorder.name, errand.k)
        try:
            made = filled.render(errand.user, name, attempt, errand.k, self._values(errand))
        except KeyError as error:
            raise UnfitError(f"{error} was never captured") from None
        if self._jar is None:
            return made
        line = self._jar.line(errand.user, _asked(made), self.now())
        if not line:
            return made
        at = made.index(b"\r\n\r\n") + 2
        return made[:at] + line + made[at:]

    def _ask_step(self, errand: Errand, step: SentStep) -> None:
        errand.began_ns = self.now()
        try:
            errand.request = self._render(step.filled, errand)
        except UnfitError as error:
            reading = StepReading(*_NO_ANSWER, why=str(error))
            # Not from here: who sends is in the middle of its own work.
            self._loop.call_soon(self._step_over, errand, step, reading, StepEnd())
            return
        source = self._source(errand.book, step.name)
        source.errands[errand.k] = errand
        step.client.send(source, [(errand.k, errand.user, errand.began_ns)])

    def _step_over(self, errand: Errand, step: SentStep, reading: Any, ended: StepEnd) -> None:
        """Note how a step ended, and go on with all that waited for it."""
        now_ns = self.now()
        self._log(errand, step.index, reading, ended)
        if step.may_hold and ended.sent_ns:
            errand.may_hold = True
            errand.first_sent_ns = errand.first_sent_ns or ended.sent_ns
        done = reading.reason is Reason.NONE
        if not done and reading.reason is not Reason.INTERRUPTED:
            # Before the jar takes what was answered: that may end the cookie that was sent.
            hidden = self._hidden(errand)
            self._failures.note(step.name, errand, reading, ended.status, hidden)
        self._keep_cookies(errand, reading)
        released = [errand, *self._learned(errand, step, reading, done=done)]
        answered = ended.status < 500 and reading.reason in _ANSWERED
        ready = []
        for each in released:
            if each.leg is not Leg.BEFORE:  # abandoned meanwhile
                continue
            each.spent_ns += now_ns - each.began_ns
            if not done and step.weight is None:
                self._failed(each, now_ns, asked=ended.sent_ns > 0, answered=answered)
            elif self._advance(each):
                ready.append(each)
        self._issue_all(ready)

    def _learned(
        self, errand: Errand, step: SentStep, reading: Any, *, done: bool
    ) -> Sequence[Errand]:
        """Keep what a step captured; the starts of the same user that waited for it."""
        if not step.once:
            if done:
                errand.captured = {**errand.captured, **reading.captured}
            return ()
        visitor = self._visitors.meet(errand.user)
        if done:
            visitor.done.add(step.index)
            visitor.captured.update(reading.captured)
        return visitor.waiting.pop(step.index, ())

    def _failed(self, errand: Errand, now_ns: int, *, asked: bool, answered: bool = True) -> None:
        """End a start whose issue is never asked."""
        start = (errand.k, errand.user, errand.due_ns)
        recorder = _own(errand.book)
        since_ns = errand.first_sent_ns if errand.may_hold else 0
        recorder.step_failed(start, now_ns, since_ns, answered=answered)
        self._over(errand, rests=not asked)

    # The issue.

    def _issue_all(self, errands: Sequence[Errand]) -> None:
        by_source: dict[StepSource, list[Start]] = {}
        for errand in errands:
            try:
                errand.request = self._render(self.issue, errand)
            except UnfitError as error:
                reading = StepReading(*_NO_ANSWER, why=str(error))
                self._failures.note("issue", errand, reading, 0)
                self._failed(errand, self.now(), asked=False)
                continue
            errand.leg = Leg.ISSUE
            source = self._source(errand.book, "issue")
            source.errands[errand.k] = errand
            if errand.vu is None:
                by_source.setdefault(source, []).append(errand.start)
            else:
                self._issuing.send_by(errand.vu, source, errand.start)
        for several, starts in by_source.items():
            self._issuing.send(several, starts)

    def _on_unmatched(self, c: Connection, status: int, body: bytes | bytearray) -> None:
        assert isinstance(c.book, IssueSource)
        errand = c.book.errands[c.k]
        self._unmatched.note(errand.user, status, body, map(str, self._hidden(errand)))

    def _hidden(self, errand: Errand) -> list[object]:
        """Everything that an answer to a start may quote, and nobody is to see."""
        cookies = self._jar.values(errand.user) if self._jar is not None else ()
        return [*self._values(errand).values(), *cookies]

    def issue_over(self, errand: Errand, reading: Any, ended_ns: int) -> None:
        """Ask after an issue that was accepted; every other one is over."""
        self._keep_cookies(errand, reading)
        poll, accepted = self._poll, reading.outcome is Outcome.ACCEPTED
        if poll is None or not accepted or len(self._polled) >= MOST_POLLED:
            self._finish(errand)
            return
        errand.captured = {**errand.captured, **getattr(reading, "captured", {})}
        errand.leg = Leg.POLL
        errand.until_ns = ended_ns + poll.within_ns
        del self.open[errand]  # a decision that is waited for is no open request
        self._polled[errand] = None
        self._later(errand, poll)

    # The question after it.

    def _later(self, errand: Errand, poll: SentPoll) -> None:
        errand.timer = self._loop.call_later(poll.every_s, self._ask, errand, poll)

    def _ask(self, errand: Errand, poll: SentPoll) -> None:
        errand.timer = None
        try:
            errand.request = self._render(poll.filled, errand)
        except UnfitError as error:
            reading = StepReading(*_NO_ANSWER, why=str(error))
            self._failures.note(POLL, errand, reading, 0)
            self._decided(errand, reading, StepEnd(ended_ns=self.now()))
            return
        errand.asked += 1
        source = self._source(errand.book, POLL)
        source.errands[errand.k] = errand
        poll.client.send(source, [(errand.k, errand.user, self.now())])

    def _poll_answered(self, errand: Errand, reading: Any, ended: StepEnd) -> None:
        """An answer to the question: decided, or not yet."""
        self._keep_cookies(errand, reading)
        poll = self._poll
        if errand.leg is not Leg.POLL or poll is None:
            return
        decided = reading.outcome is not Outcome.UNKNOWN and ended.status > 0
        if decided or self.now() + poll.every_ns > errand.until_ns:
            self._decided(errand, reading if decided else _NOT_DECIDED, ended)
        else:
            self._later(errand, poll)

    def _decided(self, errand: Errand, reading: Any, ended: StepEnd) -> None:
        self._log(errand, len(self._steps), reading, ended)
        self._finish(errand)

    # The end.

    def _finish(self, errand: Errand) -> None:
        """The end of a start whose issue has its record."""
        was_polled = errand in self._polled
        self._polled.pop(errand, None)
        vu = errand.vu if was_polled else None  # else its client says that it is over
        self._close_errand(errand)
        if vu is not None:
            errand.book.over(vu)

    def _over(self, errand: Errand, *, rests: bool = False) -> None:
        """The end of a start whose issue was never asked."""
        self._close_errand(errand)
        if errand.vu is None:
            return
        if rests:
            self._loop.call_later(REST_S, errand.book.over, errand.vu)
        else:
            errand.book.over(errand.vu)

    def _close_errand(self, errand: Errand) -> None:
        errand.leg = Leg.OVER
        if errand.timer is not None:
            errand.timer.cancel()
        self.open.pop(errand, None)

    def _abandon(self, errand: Errand) -> None:
        """End a start from our side; an issue that is open was ended by its client."""
        if errand.leg is Leg.BEFORE:
            start = (errand.k, errand.user, errand.due_ns)
            _own(errand.book).left_open(start, errand.first_sent_ns, 1)
            self._over(errand)
        elif errand.leg is Leg.POLL:
            self._decided(errand, LEFT_OPEN, StepEnd(ended_ns=self.now()))

    def holds(self, vu: Vu, errand: Errand | None) -> bool:
        """True if a virtual user still waits for the decision of his issue."""
        return errand is not None and errand.vu is vu and errand.leg is Leg.POLL

    def rendered(self, errand: Errand, attempt: int) -> bytes:
        """The bytes of an attempt of an issue."""
        return errand.request if attempt == 1 else self._render(self.issue, errand, attempt)

    def _source(self, book: StartSource, role: str) -> StepSource:
        source = self._sources.get((book, role))
        if source is None:
            steps = {step.name: step for step in self._steps}
            made: StepSource
            if role == "issue":
                made = IssueSource(self, book)
            elif role == POLL:
                made = BesideSource(self, book, self._poll_answered)
            else:
                step = steps[role]
                made = BesideSource(
                    self, book, lambda errand, *how: self._step_over(errand, step, *how)
                )
            source = self._sources[book, role] = made
        return source

    def _log(self, errand: Errand, step: int, reading: Any, ended: StepEnd) -> None:
        _own(errand.book).step(errand.k, step, reading, ended, errand.asked)

    def _keep_cookies(self, errand: Errand, reading: Any) -> None:
        lines = getattr(reading, "cookies", "")
        if lines and self._jar is not None:
            self._jar.keep(errand.user, lines, _asked(errand.request), self.now())


_NOT_DECIDED: Final = Reading(Outcome.UNKNOWN, Reason.TIMEOUT)


def _own(book: StartSource) -> StepRecorder:
    recorder = book.recorder
    assert isinstance(recorder, StepRecorder)
    return recorder


def _asked(request: bytes) -> str:
    """The path of a request that was rendered."""
    return request[: request.index(b" HTTP/")].partition(b" ")[2].decode()


def _jar(config: Config, clock: Clock) -> CookieJar | None:
    if not config.cookies:
        return None
    return CookieJar(Base.parse(config.base_url), wall_time_ns() - clock.now_ns())
