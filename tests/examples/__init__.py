"""Tests of the systems in examples/."""
