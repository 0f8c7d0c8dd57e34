"""Who may do what: tokens, sessions and roles.

A link carries its token in the fragment, which no server is sent. The page exchanges it once for a
session: a cookie that no script reads, and beside it a word that every write must show in a header.
Only sums of tokens are kept. All of it lives in this process, and ends with it.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gameday.core.clock import NS, Clock

MOST_SESSIONS: Final = 200  # browsers of a role; one without a page makes room for another
TOKEN_BYTES: Final = 32


class ConsoleRole(StrEnum):
    """Role of a session: it may lead, work on the incident, or only look."""

    FACILITATOR = "facilitator"
    TRAINEE = "trainee"
    OBSERVER = "observer"


EVERYBODY: Final = frozenset(ConsoleRole)
WORKERS: Final = frozenset({ConsoleRole.FACILITATOR, ConsoleRole.TRAINEE})
LEADERS: Final = frozenset({ConsoleRole.FACILITATOR})


@dataclass(slots=True)
class BrowserSession:
    """A browser that has shown a token."""

    role: ConsoleRole
    csrf: str
    name: str = ""
    team_role: str = ""
    streams: int = 0
    orders_ns: deque[int] = field(default_factory=deque)


def new_token() -> str:
    """A secret for a link or a cookie."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def _sum(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class Sessions:
    """The tokens that open a session, by their role, and the sessions that are open."""

    def __init__(self, tokens: Mapping[ConsoleRole, str]) -> None:
        self._tokens = {role: _sum(token) for role, token in tokens.items()}
        self._open: OrderedDict[bytes, BrowserSession] = OrderedDict()

    def role_of(self, token: str) -> ConsoleRole | None:
        """The role that a token is for; None for one that is none. Compares in constant time."""
        given = _sum(token)
        found = None
        for role, known in self._tokens.items():
            if hmac.compare_digest(given, known):
                found = role
        return found

    def begin(self, role: ConsoleRole) -> tuple[str, BrowserSession]:
        """A new session, and what its cookie holds."""
        cookie, session = new_token(), BrowserSession(role, new_token())
        self._make_room(role)
        self._open[_sum(cookie)] = session
        return cookie, session

    def _make_room(self, role: ConsoleRole) -> None:
        """End what was used longest ago of the same role, so that nobody ends another's."""
        same = [(key, each) for key, each in self._open.items() if each.role is role]
        idle = [key for key, each in same if each.streams == 0]
        if len(same) >= MOST_SESSIONS and idle:  # pages are fewer than sessions
            del self._open[idle[0]]

    def find(self, cookie: str) -> BrowserSession | None:
        """The session of a cookie."""
        key = _sum(cookie)
        found = self._open.get(key)
        if found is not None:
            self._open.move_to_end(key)
        return found

    def end(self, cookie: str) -> None:
        """Forget a session."""
        self._open.pop(_sum(cookie), None)


def in_bounds(times_ns: "deque[int]", clock: Clock, most: int, within_s: float) -> bool:
    """Note one more; False where there were `most` within the last seconds."""
    now_ns = clock.now_ns()
    while times_ns and now_ns - times_ns[0] > within_s * NS:
        times_ns.popleft()
    if len(times_ns) >= most:
        return False
    times_ns.append(now_ns)
    return True
