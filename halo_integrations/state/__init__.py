"""The state of runs and of their home, on disk before the next step.

.halo/                            the home
    home.sqlite                   the order of the runs, watermarks, open traces, owners
    locks/20260131-020500-3f9c.lock   held by the process that works on this run
    runs/20260131-020500-3f9c/    a run, readable by its owner only
        run.sqlite                the request; what was read, written and created; every model call
        traces/                   the traces as they were read
        report.json               the findings with their evidence
        report.<format>           the same by every installed renderer (md, html, ...)

``run.sqlite`` and ``home.sqlite`` are transactional (``halo_engine.sqlite_files``). What happened to
a run is derived from what is recorded there; nothing stores a stage that a later step could set back.
"""
