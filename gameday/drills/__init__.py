"""Drills: training sessions on real incidents, their scenarios, bots and scores."""
