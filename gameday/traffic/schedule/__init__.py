"""Who asks, when: k6's executors as arithmetic, and the people who ask.

Everything here is pure. A `Scenario` says when start k is due, or how many virtual users there are
where no rate is given; `users` says which user a start is for. So the k-th request is
the same in every process that thinks about it: the worker that sends it, and the judge who asks
what became of it.

`users` is imported when it is asked for: it needs numpy, and validating a file does not.
"""

from typing import TYPE_CHECKING

from gameday.traffic.schedule.arrival_rate import ArrivalRate, RampingRate
from gameday.traffic.schedule.scenario import (
    MOST_STARTS,
    Population,
    RetryPolicy,
    Scenario,
    VuLimit,
)
from gameday.traffic.schedule.scenario_json import from_json, from_model, to_json
from gameday.traffic.schedule.virtual_users import VirtualUsers, share_of

if TYPE_CHECKING:
    from gameday.traffic.schedule.users import attempt, key, user, users_of

__all__ = [
    "MOST_STARTS",
    "ArrivalRate",
    "Population",
    "RampingRate",
    "RetryPolicy",
    "Scenario",
    "VirtualUsers",
    "VuLimit",
    "attempt",
    "from_json",
    "from_model",
    "key",
    "share_of",
    "to_json",
    "user",
    "users_of",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import `users` when one of its names is first used. Raises AttributeError."""
        if name not in ("attempt", "key", "user", "users_of"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from gameday.traffic.schedule import users

        return getattr(users, name)
