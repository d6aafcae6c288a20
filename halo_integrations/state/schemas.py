"""The tables of ``run.sqlite`` and ``home.sqlite``: each script migrates what the one before made."""

from __future__ import annotations

from halo_engine.sqlite_files import Schema

RUN_1 = """
CREATE TABLE record (field TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE history (id INTEGER PRIMARY KEY, at TEXT NOT NULL, step TEXT NOT NULL);
CREATE TABLE failures (id INTEGER PRIMARY KEY, failure TEXT NOT NULL UNIQUE);
CREATE TABLE events (id INTEGER PRIMARY KEY, event TEXT NOT NULL);
CREATE TABLE configs (name TEXT PRIMARY KEY);

CREATE TABLE receipts (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, name TEXT NOT NULL, trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL, identifier TEXT NOT NULL, state TEXT NOT NULL,
    annotation TEXT NOT NULL, previous TEXT, error TEXT);
CREATE INDEX receipts_by_key ON receipts (trace_id, span_id, name, identifier);
CREATE VIEW last_receipts AS SELECT * FROM receipts WHERE id IN (
    SELECT max(id) FROM receipts GROUP BY name, trace_id, span_id, identifier);

CREATE TABLE follow_ups (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
    state TEXT NOT NULL, follow_up TEXT NOT NULL, item_id TEXT, holder TEXT);
CREATE INDEX follow_ups_by_key ON follow_ups (kind, key);
CREATE VIEW last_follow_ups AS SELECT * FROM follow_ups WHERE id IN (
    SELECT max(id) FROM follow_ups GROUP BY kind, key)
"""

HOME_1 = """
CREATE TABLE runs (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE);
CREATE TABLE watermarks (key TEXT PRIMARY KEY, at TEXT NOT NULL);
CREATE TABLE open_traces (
    key TEXT NOT NULL, trace_id TEXT NOT NULL, first_seen TEXT NOT NULL,
    PRIMARY KEY (key, trace_id));
CREATE TABLE owners (
    run_id TEXT PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL, verb TEXT NOT NULL,
    since TEXT NOT NULL)
"""

HOME_2 = """
CREATE TABLE issues (
    number INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL, created_at TEXT NOT NULL,
    run_id TEXT NOT NULL, finding TEXT NOT NULL);
CREATE INDEX issues_by_project ON issues (project);
CREATE TABLE observations (
    issue INTEGER NOT NULL, run_id TEXT NOT NULL, at TEXT NOT NULL, observation TEXT NOT NULL,
    PRIMARY KEY (issue, run_id));
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY, issue INTEGER NOT NULL, decision TEXT NOT NULL);
CREATE INDEX decisions_by_issue ON decisions (issue);
CREATE TABLE tracked_runs (
    run_id TEXT PRIMARY KEY, project TEXT NOT NULL, at TEXT NOT NULL, first TEXT, last TEXT)
"""

HOME_3 = """
CREATE TABLE verdicts (
    id TEXT NOT NULL, issue INTEGER NOT NULL, trace_id TEXT NOT NULL, span_id TEXT NOT NULL,
    at TEXT NOT NULL, verdict TEXT NOT NULL, PRIMARY KEY (issue, id));
CREATE INDEX verdicts_by_mark ON verdicts (issue, trace_id)
"""

# The traces of a run, see ``state.issues.trace_digest``.
HOME_4 = """
ALTER TABLE tracked_runs ADD COLUMN traces BLOB NOT NULL DEFAULT x''
"""

RUN = Schema(
    "run",
    (RUN_1,),
    "Its report and its traces lie beside it. Restore the file from a backup, or move the folder "
    "out of `runs` and begin a new run.",
)
HOME = Schema(
    "home",
    (HOME_1, HOME_2, HOME_3, HOME_4),
    "Restore it from a backup, or move it away: runs are found without it, and the next pull "
    "`--since last` reads everything.",
)
