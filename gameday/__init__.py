"""gameday: break a system on purpose, watch it, put it back, and learn from the evidence."""

__version__ = "0.1.0"
