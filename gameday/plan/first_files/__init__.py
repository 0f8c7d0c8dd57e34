"""The first files of a system that gameday has never seen: what `gameday init` proposes.

A `Sketch` (`sketch.py`) is what is known so far: from an address, an OpenAPI document
(`openapi.py`) or a compose file (`compose_file.py`), and from one answer (`answer.py`). Values of
an example become placeholders in `examples.py`, and `written.py` makes the two files of it. What
others wrote is held within bounds, is escaped wherever it is shown, and decides nothing that would
let a wrong system pass: what is not known stays unknown.
"""
