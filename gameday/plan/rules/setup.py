"""Rules about `start.setup`: what it names is there, before anything is started."""

from gameday.core.files import is_file
from gameday.spec.inputs import Findings, LoadedSystem
from gameday.spec.start import SqlFile


def of_system(loaded: LoadedSystem) -> Findings:
    """Every file of SQL is a file."""
    start = loaded.system.start
    for index, step in enumerate(() if start is None else start.setup):
        if isinstance(step, SqlFile) and not is_file(loaded.path.parent / step.sql):
            problem = f"'sql': there is no file {step.sql!r}"
            help = "its path counts from the folder of this file"
            yield loaded.document.error(("start", "setup", index, "sql"), problem, help=help)
