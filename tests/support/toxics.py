"""A toxic with its attributes by name, as a fault would ask for it."""

from gameday.spec.changes import Stream, ToxicChange


def toxic(
    proxy: str,
    type_: str,
    *,
    stream: Stream = "downstream",
    toxicity: float = 1.0,
    **attributes: int,
) -> ToxicChange:
    """A toxic with its attributes by name, of all answers unless it is said otherwise."""
    return ToxicChange(proxy, type_, stream, toxicity, attributes)
