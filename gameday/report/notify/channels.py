"""Channels: where notices go, and how one looks there. All of it is decided by the environment.

`GAMEDAY_SLACK_WEBHOOK` and `GAMEDAY_WEBHOOK` are addresses, and secrets: whoever has one may post.
So no problem with one ever quotes it, and nothing of it is written down. Slack's is refused over
plain HTTP; somebody's own may be inside of a cluster. `GAMEDAY_WEBHOOK_SECRET` signs what the
generic webhook is sent. `GAMEDAY_NOTIFY` is `console`, for a line on stderr, or `off`.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Protocol

from gameday.core.clock import utc_now
from gameday.core.errors import GamedayError
from gameday.core.messages import Message
from gameday.core.network.allow_list import is_this_machine
from gameday.core.network.http import Ask
from gameday.core.network.urls import Base
from gameday.core.settings.notify import NOTIFY, SECRET, SLACK, WEBHOOK
from gameday.report.notify.notice import Notice
from gameday.report.notify.slack import blocks, fallback

SCHEMA: Final = 1
SLACK_PAUSE_S: Final = 1.0  # Slack takes a message a second, and a short burst
_JSON: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice on its way: `id` is the same in every attempt, so that one read twice is known."""

    id: str
    notice: Notice
    language: str = "en"


class Channel(Protocol):
    """One way to people."""

    @property
    def name(self) -> str: ...

    @property
    def pause_s(self) -> float:
        """The least time between two messages."""
        ...


@dataclass(frozen=True, slots=True)
class ConsoleChannel:
    """Lines on the terminal, by `say`."""

    say: Callable[[str], None]
    name: str = "console"
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Address:
    """An address that is a secret: it is not in any `repr`."""

    base: Base

    def __repr__(self) -> str:
        return f"<{self.base.host}>"


@dataclass(frozen=True, slots=True)
class HttpChannel:
    """A channel that is asked by HTTP."""

    address: _Address

    @property
    def url(self) -> str:
        return self.address.base.url

    @property
    def host(self) -> str:
        return self.address.base.host

    def ask(self, letter: Letter) -> Ask:
        """The request that brings one notice. Each kind of channel has its own."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SlackChannel(HttpChannel):
    """An incoming webhook of Slack, or of what takes the same (Mattermost, Rocket.Chat)."""

    name: str = "slack"
    pause_s: float = SLACK_PAUSE_S

    def ask(self, letter: Letter) -> Ask:
        notice, language = letter.notice, letter.language
        body = {"text": fallback(notice, language), "blocks": blocks(notice, language)}
        return Ask("POST", self.url, _JSON, raw=json.dumps(body).encode())


@dataclass(frozen=True, slots=True)
class WebhookChannel(HttpChannel):
    """Somebody's own address, which is sent JSON (docs/notifications.md), signed if there is a key.

    The signature is the HMAC-SHA256 of `<t>.<body>`, in hex, as `t=<seconds>,v1=<signature>`: a
    receiver compares it, and refuses what is older than it likes.
    """

    key: bytes = b""
    name: str = "webhook"
    pause_s: float = 0.0

    def ask(self, letter: Letter) -> Ask:
        now = utc_now()
        raw = json.dumps(asdict(payload(letter, now.isoformat(timespec="seconds")))).encode()
        headers = {
            **_JSON,
            "x-gameday-event": letter.notice.event,
            "x-gameday-delivery": letter.id,
        }
        if self.key:
            headers["x-gameday-signature"] = signature(self.key, int(now.timestamp()), raw)
        return Ask("POST", self.url, headers, raw=raw)

    def __repr__(self) -> str:
        return f"WebhookChannel({self.address!r})"


def signature(key: bytes, t_s: int, body: bytes) -> str:
    """The header that proves who sent `body`, and when."""
    digest = hmac.new(key, b"%d.%s" % (t_s, body), hashlib.sha256).hexdigest()
    return f"t={t_s},v1={digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFact:
    """One fact of a payload: `name` is for programs, the rest for people."""

    name: str
    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What the generic webhook is sent (docs/notifications.md). Keys are only ever added."""

    schema: int = SCHEMA
    id: str
    event: str
    exercise: bool = True
    kind: str
    sent_at: str
    run: str | None
    experiment: str | None
    verdict: str | None
    exit_code: int | None
    headline: str
    text: str
    announcement: str | None
    facts: Sequence[NoticeFact]


def payload(letter: Letter, sent_at: str) -> Payload:
    """A notice as the generic webhook is sent it."""
    notice, language = letter.notice, letter.language
    return Payload(
        id=letter.id,
        event=notice.event,
        kind=notice.kind,
        sent_at=sent_at,
        run=notice.run or None,
        experiment=notice.experiment or None,
        verdict=notice.verdict or None,
        exit_code=notice.exit_code,
        headline=notice.head(language),
        text=notice.plain(language),
        announcement=notice.text or None,
        facts=[
            NoticeFact(name=each.name, label=each.label(language), value=each.text(language))
            for each in notice.facts
        ],
    )


def channels(
    environment: Mapping[str, str], say: Callable[[str], None] | None = None
) -> list[Channel]:
    """The channels that the environment names; one that cannot be used is left out.

    `environment_problems` says which those are. The console is one only where there is a `say`.
    """
    return _read(environment, say)[0]


def environment_problems(environment: Mapping[str, str]) -> list[Message]:
    """The variables that cannot be used and why, without what is in them."""
    return _read(environment, None)[1]


def _read(
    environment: Mapping[str, str], say: Callable[[str], None] | None
) -> tuple[list[Channel], list[Message]]:
    found, problems = list[Channel](), list[Message]()
    asked = environment.get(NOTIFY, "").strip().lower()
    if asked not in ("", "console", "off"):
        problems.append(Message("notify.problem.word", variable=NOTIFY))
    if asked == "off":
        return [], problems
    if asked == "console" and say is not None:
        found.append(ConsoleChannel(say))
    key = environment.get(SECRET, "").encode("utf-8", "surrogateescape")
    for variable in (SLACK, WEBHOOK):
        text = environment.get(variable, "").strip()
        address = _address(text, variable)
        if isinstance(address, Message):
            problems.append(address)
        elif address is not None:
            found.append(
                SlackChannel(address) if variable == SLACK else WebhookChannel(address, key)
            )
    return found, problems


def _address(text: str, variable: str) -> _Address | Message | None:
    """The address of a webhook; what is wrong with it, or None where none is given."""
    if not text:
        return None
    try:
        base = Base.parse(text, query=True)
    except GamedayError:  # whose message quotes it
        return Message("notify.problem.address", variable=variable)
    if variable == SLACK and not base.is_tls and not _is_here(base.host):
        return Message("notify.problem.plain", variable=variable)
    return _Address(base)


def _is_here(host: str) -> bool:
    """True for this machine, without asking a name server, which may take its time."""
    try:
        return host == "localhost" or is_this_machine(host)
    except ValueError:
        return False
