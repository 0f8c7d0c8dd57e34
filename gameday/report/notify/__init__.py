"""Notifications: what a team's channel is told of a run, a game day or a drill.

Where they go stands in the environment alone, because an address of a webhook is a secret:
`GAMEDAY_SLACK_WEBHOOK`, `GAMEDAY_WEBHOOK` (signed with `GAMEDAY_WEBHOOK_SECRET`), and
`GAMEDAY_NOTIFY=console` or `off` (`channels`). That somebody has set one is their consent that its
host is told; it never becomes a host that may be broken. `notice` says what there is to say,
`delivery` brings it there from threads of its own, in bounded time, and notes every attempt;
`follow` reads the files of a run that is under way. Every message says that it is an exercise.

    announce(day_announced("Black Friday rehearsal", "We begin at ten."), log=folder)

is all that a game day or a schedule needs. It never raises and never takes longer than it is given.
"""

from gameday.report.notify.channels import Channel, channels, environment_problems
from gameday.report.notify.delivery import FILE, Attempt, AttemptLog, Outbox, announce
from gameday.report.notify.follow import RunFollower
from gameday.report.notify.notice import (
    Notice,
    RunTitle,
    day_announced,
    day_finished,
    day_soon,
    day_started,
    run_finished,
    trial_notice,
)

__all__ = [
    "FILE",
    "Attempt",
    "AttemptLog",
    "Channel",
    "Notice",
    "Outbox",
    "RunFollower",
    "RunTitle",
    "announce",
    "channels",
    "day_announced",
    "day_finished",
    "day_soon",
    "day_started",
    "environment_problems",
    "run_finished",
    "trial_notice",
]
