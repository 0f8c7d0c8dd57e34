"""The calendar: when game days begin by themselves, and what came of each time that they should.

`occurrences` is arithmetic: a schedule and an instant give the next times, with what the clock does
to them on days of daylight saving, and `freezes` says which of them fall on days without changes.
`state` keeps in SQLite what was decided about each; `scheduler` decides, and `launch` runs one day
and records its end. `export` writes the files of other schedulers. `gameday scheduler` (a daemon)
and `gameday schedule due` (for those who have cron already) are two ways to call the same `tick`.

A day itself is run by `day_run`, noted in `day_journal`, and written up by `day_report`.
"""
