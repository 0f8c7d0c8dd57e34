"""The documentation: its links, its examples, its reference, and the tutorial as it is followed."""
