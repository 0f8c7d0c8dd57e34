"""Which source a run has: Prometheus where the system names one, else our own scrapes."""

from gameday.spec.experiment import Experiment
from gameday.spec.server import Server, server
from gameday.spec.system import System


def prometheus_of(experiment: Experiment, system: System) -> Server | None:
    """The Prometheus that samples, alerts and readings come from; None: gameday scrapes itself.

    An experiment with `rules` of its own is measured by gameday: no Prometheus has loaded them.
    """
    return None if experiment.rules is not None else server(system.prometheus)
