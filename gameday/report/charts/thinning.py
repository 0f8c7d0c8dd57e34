"""Fewer points for a long run: of each stretch of a pixel's width, the lowest and the highest.

A picture of the width of a chart cannot show more, and no peak is lost, as it would be by taking
every n-th value or a mean.
"""

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np

from gameday.report.charts.series import Curve

COLUMNS: Final = 900  # about the pixels that a chart is wide


def is_long(t_s: Curve) -> bool:
    """True if `thinned` leaves points out."""
    return len(t_s) > 2 * COLUMNS


def thinned(t_s: Curve, curves: Sequence[Curve]) -> tuple[Curve, list[Curve]]:
    """Two instants a column, and each curve's two values there: in the order in which they came.

    A column without any value is a gap.
    """
    if not is_long(t_s):
        return t_s, list(curves)
    edges = np.linspace(0, len(t_s), COLUMNS + 1).astype(int)
    middles = (edges[:-1] + edges[1:]) // 2
    instants = np.column_stack([t_s[edges[:-1]], t_s[middles]]).ravel()
    width = int(np.diff(edges).max())
    places = np.minimum(edges[:-1, None] + np.arange(width)[None, :], edges[1:, None] - 1)
    return instants, [_extremes(curve[places]) for curve in curves]


def _extremes(columns: Curve) -> Curve:
    """The lowest and highest value of each row, the one that came first first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row of gaps is a gap
        low, high = np.nanmin(columns, axis=1), np.nanmax(columns, axis=1)
    rising = np.argmax(columns == low[:, None], axis=1) <= np.argmax(
        columns == high[:, None], axis=1
    )
    return np.where(rising[:, None], np.column_stack([low, high]), np.column_stack([high, low])).ravel()
