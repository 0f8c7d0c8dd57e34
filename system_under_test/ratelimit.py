"""The limit per user: three requests in ten seconds, while it is switched on.

Counted by each replica for itself: behind a balancer a user may get as many more as there are
replicas, and the limit still works when both stores are slow.
"""

from collections import deque

REQUESTS = 3
WITHIN_S = 10.0
REMEMBERED = 200_000


class RateLimit:
    """Remembers when each user last asked."""

    def __init__(self) -> None:
        self._asked: dict[int, deque[float]] = {}

    def retry_after_s(self, user: int, now: float) -> float:
        """0 when the user may ask now (and that is remembered); else how long to wait."""
        asked = self._asked.pop(user, None) or deque()
        while asked and now - asked[0] >= WITHIN_S:
            asked.popleft()
        self._asked[user] = asked
        if len(asked) >= REQUESTS:
            return WITHIN_S - (now - asked[0])
        asked.append(now)
        if len(self._asked) > REMEMBERED:
            self._asked.pop(next(iter(self._asked)))
        return 0.0
