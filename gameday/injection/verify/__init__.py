"""Verification that a fault was really in effect, who felt it, and whether it is gone again.

`readback` reads back what is there, `probe` and `long_probe` ask through a proxy, `toxics` says
what shows which toxic and judges it, `traffic_windows` and `impact_verdict` what the service and
its callers felt, `injection_verdict` all together; `recovery` judges the removal.
"""
