"""The expected number of distinct users by an instant, whatever the scenarios' populations.

A start that may be any of U users misses one of them with the chance 1 − 1/U, so n starts miss
that one with (1 − 1/U)ⁿ. Where users differ, as bots do, they are taken in groups of alike ones;
of Zipf's law, the first thousand users each by himself. Plain numbers do: only Zipf's weights need
numpy, whose import takes longer than all the rest.

Where a user may hold several, what counts of each is the number of his starts up to that many; how
often a user comes is taken as Poisson's law has it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from gameday.traffic.schedule.scenario import Population

_EACH = 1000  # Zipf's first users differ most: one group each
_GROUPS = 300  # the rest of Zipf in groups that grow by a constant factor
_SURE = 1.0 - 1e-12  # log(1 − p) is finite up to here
_NEVER = 1e-300  # a finite logarithm where `once` has asked everybody
_EXACT = 64  # of more starts each the mean is near enough

Edges = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UserSources:
    """`users` users, and the population of each source of starts."""

    users: int
    populations: tuple[Population, ...]

    def expected(self, starts: list[float]) -> float:
        """The expected number of distinct users, if each source makes so many starts."""
        edges = self._edges()
        missed = [0.0] * (len(edges) - 1)
        for population, count in zip(self.populations, starts, strict=True):
            logs = _log_missed(population, edges, count)
            missed = [before + log for before, log in zip(missed, logs, strict=True)]
        groups = zip(pairwise(edges), missed, strict=True)
        return sum((end - begin) * -math.expm1(log) for (begin, end), log in groups)

    def expected_up_to(self, most: int, starts: list[float]) -> float:
        """The expected number of starts that count, if those of one user count up to `most`."""
        if most == 1:
            return self.expected(starts)
        edges = self._edges()
        groups = list(pairwise(edges))
        often = [0.0] * len(groups)  # starts of one user by chance
        blocks: list[tuple[int, float]] = []  # starts that come together, and how often they do
        once = 0.0  # starts of each user for sure; a broken one by chance
        for population, count in zip(self.populations, starts, strict=True):
            if population.kind == "once":
                once += count / self.users
            elif population.same > 1:
                blocks.append((population.same, count / population.same / self.users))
            else:
                chance = _chance(population, edges)
                often = [mean + count * each for mean, each in zip(often, chance, strict=True)]
        return sum(
            (end - begin) * _sure(most, mean, blocks, once)
            for (begin, end), mean in zip(groups, often, strict=True)
        )

    def _edges(self) -> Edges:
        """The borders between groups of alike users, from 0 to the number of users."""
        edges = {0, self.users}
        for population in self.populations:
            if population.kind == "bots":
                edges.add(min(population.bots, self.users))
            elif population.kind == "zipf":
                edges.update(range(min(_EACH, self.users)))
                edges.update(int(self.users ** (n / _GROUPS)) for n in range(_GROUPS))
        return tuple(sorted(edges))


def _sure(most: int, mean: float, blocks: list[tuple[int, float]], once: float) -> float:
    """The same with starts that each user makes for sure, the last of them by chance."""
    whole = min(most, math.floor(once))
    return whole + (_counted(most - whole, mean, blocks, once - whole) if whole < most else 0.0)


def _counted(most: int, mean: float, blocks: list[tuple[int, float]], once: float) -> float:
    """The expected starts of one user, those beyond `most` left out."""
    if most > _EXACT:
        return min(most, mean + once + sum(size * often for size, often in blocks))
    chances = [math.exp(-mean)]
    for count in range(1, most):
        chances.append(chances[-1] * mean / count)
    for size, often in blocks:
        drawn = math.exp(-often)
        mixed = [0.0] * most
        for times, begin in enumerate(range(0, most, size), start=1):
            for at in range(begin, most):
                mixed[at] += drawn * chances[at - begin]
            drawn *= often / times
        chances = mixed
    below = [0.0, *chances[:-1]]
    chances = [(1 - once) * here + once * less for here, less in zip(chances, below, strict=True)]
    return most - sum((most - count) * chance for count, chance in enumerate(chances))


def _log_missed(population: Population, edges: Edges, starts: float) -> list[float]:
    """The logarithm of the chance that `starts` starts miss a user, by group."""
    if population.kind == "once":
        missed = max(1.0 - starts / edges[-1], _NEVER)
        return [math.log(missed)] * (len(edges) - 1)
    starts /= population.same
    return [starts * math.log1p(-min(each, _SURE)) for each in _chance(population, edges)]


def _chance(population: Population, edges: Edges) -> list[float]:
    """The chance of one start to be a certain user's, by group."""
    users = edges[-1]
    if population.kind == "zipf":
        return _zipf(population.zipf, edges)
    if population.kind == "bots" and population.bots < users:
        bot = population.share / population.bots
        rest = (1 - population.share) / (users - population.bots)
        return [bot if begin < population.bots else rest for begin in edges[:-1]]
    return [1 / users] * (len(edges) - 1)


@lru_cache(maxsize=16)
def _zipf(exponent: float, edges: Edges) -> list[float]:
    """The same under Zipf's law; a search for an instant asks for it again and again."""
    import numpy as np

    from gameday.traffic.schedule.zipf import weights

    mass = weights(np.array(edges, dtype=np.int64), exponent)
    found: list[float] = (mass / mass.sum() / np.diff(edges)).tolist()
    return found
