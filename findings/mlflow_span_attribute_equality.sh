#!/bin/sh
# mlflow 3.17.2: a search for traces by the value of a span's attribute finds none with "=", and all
# with "!=". Both are accepted; "IN" is, too, and then an error. Two traces, releases 1.1 and 1.2:
#
#   span.attributes.release = '1.2'         0 traces
#   span.attributes.release != '1.2'        2 traces
#   span.attributes.release LIKE '%1.2%'    1 trace
#
# The text that "LIKE" would look for anywhere in the span's JSON is compared with the whole of it.
#
# Who is hit: whoever counts traces of a release, a customer or a tool by such a filter, or alerts on
# it: there are none, without an error, and none of them is missing from the opposite.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "mlflow==3.17.2" || exit 2
cat > "$folder/span_attribute_equality.py" <<'PYTHON'
import sys

import mlflow

mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("finding")
for release in ("1.1", "1.2"):
    with mlflow.start_span("turn") as span:
        span.set_attribute("release", release)
mlflow.flush_trace_async_logging()

seen = {}
for condition in ("= '1.2'", "!= '1.2'", "LIKE '%1.2%'"):
    wanted = f"span.attributes.release {condition}"
    seen[condition] = len(mlflow.search_traces(filter_string=wanted, return_type="list"))
    print(f"{wanted}: {seen[condition]} traces")
as_stated = seen == {"= '1.2'": 0, "!= '1.2'": 2, "LIKE '%1.2%'": 1}
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
cd "$folder"
env -i HOME="$folder" PATH="$PATH" MLFLOW_DISABLE_TELEMETRY=true \
    "$folder/venv/bin/python" "$folder/span_attribute_equality.py" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
