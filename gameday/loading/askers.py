"""How many different users have asked by an instant, whatever the populations of the scenarios.

A start that may be any of U users misses one of them with the chance 1 − 1/U, so n starts miss
that one with (1 − 1/U)ⁿ. Where users differ, as bots do, they are taken in groups of alike ones;
of Zipf's law, the first thousand users each by himself.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gameday.experiment import Bots, Population, Same, Zipf
from gameday.workload.zipf import weights

_EACH = 1000
_GROUPS = 300
_SURE = 1.0 - 1e-12
_NEVER = 1e-300

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crowd:
    """`users` users, and the population of each source of starts."""

    users: int
    populations: tuple[Population, ...]

    def askers(self, starts: list[float]) -> float:
        """How many different users ask, if each source makes so many starts."""
        edges = self._edges()
        missed = np.zeros(len(edges) - 1)
        for population, count in zip(self.populations, starts, strict=True):
            missed += _log_missed(population, edges, count)
        return float((np.diff(edges) * -np.expm1(missed)).sum())

    def _edges(self) -> Ints:
        """Where one group of alike users ends and the next begins."""
        edges = {0, self.users}
        for population in self.populations:
            if isinstance(population, Bots):
                edges.add(min(population.bots, self.users))
            elif isinstance(population, Zipf):
                edges.update(range(min(_EACH, self.users)))
                edges.update(np.geomspace(1, self.users, _GROUPS).astype(int).tolist())
        return np.array(sorted(edges), dtype=np.int64)


def _log_missed(population: Population, edges: Ints, starts: float) -> Floats:
    """The logarithm of the chance that `starts` starts miss a user, by group."""
    users = int(edges[-1])
    if population == "once":
        missed = max(1.0 - starts / users, _NEVER)
        return np.full(len(edges) - 1, np.log(missed))
    if isinstance(population, Same):
        starts = starts / population.same
    chance = np.minimum(_chance(population, edges), _SURE)
    log: Floats = starts * np.log1p(-chance)
    return log


def _chance(population: Population, edges: Ints) -> Floats:
    """The chance of one start to be a certain user's, by group."""
    users = int(edges[-1])
    if isinstance(population, Zipf):
        mass = weights(edges, population.zipf)
        each: Floats = mass / mass.sum() / np.diff(edges)
        return each
    if isinstance(population, Bots) and population.bots < users:
        rest = (1 - population.share) / (users - population.bots)
        return np.where(edges[:-1] < population.bots, population.share / population.bots, rest)
    return np.full(len(edges) - 1, 1 / users)
