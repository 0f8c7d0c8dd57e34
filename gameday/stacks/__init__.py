"""Where a system runs: embedded, kept running between runs, or somebody else's."""
