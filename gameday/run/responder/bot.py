"""The bot: a responder that works the playbook by itself.

It starts when an alert of the playbook's front matter fires, after a delay in which a person may
take the incident (`gameday ack`); from then on the bot stays out. Steps are worked in order.
"""

import asyncio
from contextlib import suppress

from gameday.evidence.events import AlertAcknowledged
from gameday.run.responder.hands import BOT
from gameday.run.responder.incident import Incident
from gameday.spec.playbook import Playbook


class Bot:
    """The automatic responder of one incident."""

    def __init__(self, incident: Incident, book: Playbook, delay_s: float) -> None:
        self._incident = incident
        self._book = book
        self._delay_s = delay_s
        self._goes_on = False  # until a person takes it, or its steps are taken back

    def stand_back(self) -> None:
        """Do no step after the one that is under way."""
        self._goes_on = False

    async def respond(self) -> None:
        """Wait for an alert of the playbook, then work its steps."""
        incident, hands = self._incident, self._incident.hands
        await incident.alerted.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._delay_s):
                await incident.taken.wait()
        if incident.taken.is_set():
            return
        incident.begin(BOT, self._delay_s)
        hands.journal.write(AlertAcknowledged(by=BOT, through=BOT))
        self._goes_on = True  # also after a fault: its alert may be late
        for step in self._book.steps:
            async with hands.one_at_a_time:
                if not self._goes_on:
                    return
                status = (await hands.work(step)).status
            if status == "failed" and not step.block.optional:
                return

    async def finish(self) -> None:
        """Nothing is left of it once it is not waited for."""
