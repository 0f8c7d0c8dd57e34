"""k6's files: its scripts read and written, and its summaries in the shapes that its users parse.

    source, sandbox, stubs.js      a script's text; the engine that runs it, with nothing in reach
    script                         what a script exports, and what its functions would send
    units                          k6's durations and rates, as gameday writes them
    scenarios, requests            options and iterations, in gameday's words
    import_script, export_script   a script becomes an experiment file, and the other way
    summary_json, summary_text     --summary-export and handleSummary; the summary in the terminal

What cannot be taken over is named, with its line. k6's own words are in its documentation; no
code of k6 is here.
"""
