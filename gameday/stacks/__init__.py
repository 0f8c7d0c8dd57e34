"""Stacks on which a system runs: embedded, kept running between runs, or somebody else's."""
