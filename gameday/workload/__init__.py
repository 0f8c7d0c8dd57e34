"""Who asks, when: k6's executors as arithmetic, the people who ask, and what they send.

Everything here is pure. A `Schedule` says when start k is due; `population` says which user it is
for; `template` fills a system file's placeholders. So the k-th request is the same in every
process that thinks about it: the worker that sends it, and the judge who asks what became of it.
"""

from gameday.workload.population import key, user, users_of
from gameday.workload.schedule import ConstantRate, RampingRate, Schedule, schedule

__all__ = ["ConstantRate", "RampingRate", "Schedule", "key", "schedule", "user", "users_of"]
