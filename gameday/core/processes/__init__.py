"""Child processes, threads and waiting: everything of them ends, by a deadline or by force."""

READY = b'{"event": "ready"}'
"""The first line of a child that waits for orders."""
