"""Game days: run in their order, journaled, and written up together."""
