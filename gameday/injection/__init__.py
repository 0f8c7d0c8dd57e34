"""Changes to a system: made, undone, read back and verified, each by a driver of its kind."""
