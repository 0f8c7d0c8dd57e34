"""When a game day is run by itself: `schedule:` of its file."""

from pydantic import Field

from gameday.spec.yaml import Model


class Schedule(Model):
    """The instants at which a day is due."""

    cron: str = Field(description="Five fields, as cron has them")
    timezone: str = Field(default="UTC", description="The zone of the times, by its IANA name")
