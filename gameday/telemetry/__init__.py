"""Measurement: the collector, PromQL over its samples, and alerting rules."""
