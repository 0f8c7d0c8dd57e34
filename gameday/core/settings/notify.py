"""The variables that say whom gameday tells of what it does: no settings, because they are secrets.

They stand apart so that a command without any of them loads nothing of notifications. A file
cannot have them. Their hosts are told of runs and never become hosts that may be broken.
"""

from collections.abc import Mapping
from typing import Final

SLACK: Final = "GAMEDAY_SLACK_WEBHOOK"
WEBHOOK: Final = "GAMEDAY_WEBHOOK"
SECRET: Final = "GAMEDAY_WEBHOOK_SECRET"
NOTIFY: Final = "GAMEDAY_NOTIFY"
ABOUT: Final = {
    SLACK: "The address of an incoming webhook of Slack, which is told of runs. A secret.",
    WEBHOOK: "An address of your own that is told of runs, as JSON. A secret.",
    SECRET: "The key that signs what GAMEDAY_WEBHOOK is sent.",
    NOTIFY: "`console`: tell of runs on stderr. `off`: tell nobody.",
}
VARIABLES: Final = tuple(ABOUT)


def anybody_is_told(environment: Mapping[str, str]) -> bool:
    """True if a variable of notifications is set at all."""
    return any(environment.get(name) for name in VARIABLES)
