"""Tests of game days."""
