#!/usr/bin/env bash
# Pulls the traces of an agent, compares two releases of it (or its last day with the week before), and
# writes the result for people and for CI. Everything is set by the environment; see docs/compare.md.
#
#   COMPARE_SOURCE     platform (phoenix, langfuse, mlflow) or path of exported traces; required
#   COMPARE_PROJECT    project to read [that of the platform's own variables]
#   COMPARE_SINCE      how far back to read [8d]
#   COMPARE_BASE       the side to compare with [since=8d,until=1d]
#   COMPARE_HEAD       the side that is new [since=1d]
#   COMPARE_FAIL_ON    when to end with 1 [regression-high]; `never` for never
#   COMPARE_CODE       folder with the agent's code, for places in it
#   COMPARE_NAME       name under which issues are kept [agent]
#   COMPARE_OUT        folder of the results [halo-results]
#   COMPARE_KEEP_DAYS  how long the home keeps the traces of earlier jobs [14]
#   HALO_HOME          the home, which a cache carries from job to job [.halo]
#
# Keys are read from the environment, by the names that each platform uses. Exit codes are those of
# `halo-integrations compare`: 0, 1 for a regression, 2 for what has to be set, 3 for what failed.
set -euo pipefail

: "${COMPARE_SOURCE:?name a platform or a path in COMPARE_SOURCE}"
base=${COMPARE_BASE:-since=8d,until=1d}
head=${COMPARE_HEAD:-since=1d}
fail_on=${COMPARE_FAIL_ON:-regression-high}
out=${COMPARE_OUT:-halo-results}
export HALO_HOME=${HALO_HOME:-.halo}
export HALO_ISSUE_PROJECT=${COMPARE_NAME:-agent}

reading=(--since "${COMPARE_SINCE:-8d}" --fresh)
if [ -n "${COMPARE_PROJECT:-}" ]; then reading+=(--project "$COMPARE_PROJECT"); fi
code=()
if [ -n "${COMPARE_CODE:-}" ]; then code=(--code "$COMPARE_CODE"); fi
result=(--out "$out/compare.md" --out "$out/compare.json")
result+=(--out "$out/compare.sarif" --out "$out/compare.xml")
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then result+=(--summary); fi
if [ "$fail_on" != never ]; then result+=(--fail-on "$fail_on"); fi

# 3: some records could not be read or judged. They are listed, and the rest is compared.
partly() {
  local code=0
  "$@" || code=$?
  [ "$code" -eq 3 ] || return "$code"
}

mkdir -p "$out"
rm -f "$out"/compare.* "$out/alerts.sarif"
echo "*" >"$out/.gitignore" # the results are none of the agent's code
if [ -d "$HALO_HOME/runs" ]; then
  find "$HALO_HOME/runs" -mindepth 1 -maxdepth 1 -mtime "+${COMPARE_KEEP_DAYS:-14}" -exec rm -rf {} +
fi
partly halo-integrations pull "$COMPARE_SOURCE" "${reading[@]}"
partly halo-integrations analyze last --no-llm "${code[@]}"
ended=0
halo-integrations compare "$base" "$head" "${code[@]}" "${result[@]}" || ended=$?
[ -f "$out/compare.sarif" ] || exit "$ended"

# GitHub makes an alert of every result, also of what is gone, muted or accepted.
python3 - "$out/compare.sarif" "$out/alerts.sarif" <<'PYTHON'
import json, sys
log = json.load(open(sys.argv[1], encoding="utf-8"))
for run in log["runs"]:
    run["results"] = [
        r for r in run["results"] if r["kind"] == "fail" and "suppressions" not in r
    ]
json.dump(log, open(sys.argv[2], "w", encoding="utf-8"), indent=1)
PYTHON
exit "$ended"
