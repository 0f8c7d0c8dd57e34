"""From evidence to a result: checks, verdicts and the exit code."""
