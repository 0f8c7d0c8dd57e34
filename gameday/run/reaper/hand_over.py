"""What the controller hands over to its reaper once its stack is up: what undoing needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gameday.core.network.allow_list import Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """Secrets of undoing requests by name, and where undoing may lead beside this machine."""

    environment: Mapping[str, str] = field(default_factory=dict)
    reach: Reach = field(default_factory=Reach)
