"""Who asks, when: k6's executors as arithmetic, and the people who ask.

Everything here is pure. A `Schedule` says when start k is due; a `VuPlan` how many virtual users
there are where no rate is given; `users` says which user a start is for. So the k-th request is
the same in every process that thinks about it: the worker that sends it, and the judge who asks
what became of it.

`users` is imported when it is asked for: it needs numpy, and validating a file does not.
"""

from typing import TYPE_CHECKING

from gameday.traffic.schedule.arrival_rate import (
    Bunches,
    Closed,
    ConstantRate,
    RampingRate,
    Schedule,
    schedule,
)
from gameday.traffic.schedule.virtual_users import (
    Step,
    VuLimit,
    VuPlan,
    is_closed,
    most_vus,
    share_of,
    vu_limit,
    vus,
)

if TYPE_CHECKING:
    from gameday.traffic.schedule.users import attempt, key, user, users_of

__all__ = [
    "Bunches",
    "Closed",
    "ConstantRate",
    "RampingRate",
    "Schedule",
    "Step",
    "VuLimit",
    "VuPlan",
    "attempt",
    "is_closed",
    "key",
    "most_vus",
    "schedule",
    "share_of",
    "user",
    "users_of",
    "vu_limit",
    "vus",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import `users` when one of its names is first used. Raises AttributeError."""
        if name not in ("attempt", "key", "user", "users_of"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from gameday.traffic.schedule import users

        return getattr(users, name)
