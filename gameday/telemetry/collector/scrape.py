"""Asking the metrics targets: all at once, each within a limit, none waited for longer.

A target that does not answer in time, answers badly, or says something that is not Prometheus'
format is down for this instant. Its series then end at once, as they do in Prometheus, so that
no expression goes on reading a number that nobody has said again.
"""

import asyncio
from collections.abc import Sequence

from gameday.core.network.http import OK, HttpClient, HttpError
from gameday.spec.tls import Tls
from gameday.telemetry.collector.settings import ScrapeTarget
from gameday.telemetry.collector.text_format import LONGEST, ExpositionError, Reader
from gameday.telemetry.sources.source import TargetScrape

LONGEST_WHY = 200  # an error may quote a whole answer
_ACCEPT = "text/plain;version=0.0.4"


def _asked(target: ScrapeTarget) -> tuple[ScrapeTarget, Reader]:
    return target, Reader({"instance": target.name})


class Scraper:
    """Keeps one connection to each target, and the series each has been seen to say."""

    def __init__(self, targets: Sequence[ScrapeTarget], timeout_s: float, tls: Tls) -> None:
        """`tls` says whom to believe. Raises UsageError for a `ca` that holds no certificate."""
        self._targets = [_asked(target) for target in targets]
        verify = tls.needed_for(*(target.url for target in targets))
        self._client = HttpClient(timeout_s, verify=verify, most_bytes=LONGEST)

    def retarget(self, targets: Sequence[ScrapeTarget]) -> list[str]:
        """Ask these from now on; the names of those that are asked no more."""
        before = self._targets
        readers = {target.name: reader for target, reader in before}
        self._targets = [
            (each, readers[each.name]) if each.name in readers else _asked(each) for each in targets
        ]
        names = {target.name for target in targets}
        return [target.name for target, _ in before if target.name not in names]

    async def ask_all(self) -> list[TargetScrape]:
        """One answer from each target, after `timeout_s` at the latest."""
        return await asyncio.gather(*[self._ask(*each) for each in self._targets])

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, target: ScrapeTarget, reader: Reader) -> TargetScrape:
        try:
            answer = await self._client.get(target.url, {"accept": _ACCEPT})
            if answer.status != OK:
                raise ExpositionError(f"status {answer.status}")
            return TargetScrape(target.name, reader.read(answer.body.decode()))
        except (HttpError, ExpositionError) as error:
            why = error.message
        except UnicodeDecodeError as error:
            why = f"an answer that is not UTF-8, at byte {error.start + 1},"
        return TargetScrape(target.name, {}, f"{why[:LONGEST_WHY]} from {target.url}")
