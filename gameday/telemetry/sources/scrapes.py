"""Our own scrapes as the source: the metrics targets are asked, our evaluator does the rest."""

from gameday.telemetry.collector.scrape import Scraper
from gameday.telemetry.sources.source import SourceAnswers


class ScrapeSource:
    """Asks every metrics target."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper

    async def ask(self, t_ns: int) -> SourceAnswers:
        """One answer of each target."""
        return SourceAnswers(targets=await self._scraper.ask_all(), sampled_ns=t_ns)

    async def close(self) -> None:
        await self._scraper.close()
