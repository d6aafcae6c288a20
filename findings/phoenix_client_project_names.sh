#!/bin/sh
# arize-phoenix-client 3.5.0 with a Phoenix 20.26.1 server: a project whose name has a slash or a
# question mark can be created and listed, and traces arrive in it, but it cannot be addressed by
# that name. What the caller gets differs by method and by character:
#
#   create(name="team/agent")                       works
#   projects.get(project_name="team/agent")         ValueError
#   spans.get_spans(project_identifier="team/agent") JSONDecodeError: the name is put into the path
#                                                   unescaped, and the server answers the unknown
#                                                   path with its web page and status 200
#   spans.get_spans(project_identifier="v1?beta")   a 404 for /v1/projects/v1: the rest of the name
#                                                   and "/spans" became the query string
#
# The id that create() and list() return works everywhere. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "arize-phoenix==20.26.1" "arize-phoenix-client==3.5.0" || exit 2
cat > "$folder/names.py" <<'PYTHON'
import contextlib, os, socket, subprocess, sys, time
from importlib.metadata import version
from pathlib import Path

import httpx
from phoenix.client import Client

folder = Path(sys.argv[1])
ports = []
for _ in range(2):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        ports.append(probe.getsockname()[1])
settings = {
    "PHOENIX_WORKING_DIR": str(folder), "PHOENIX_HOST": "127.0.0.1",
    "PHOENIX_PORT": str(ports[0]), "PHOENIX_GRPC_PORT": str(ports[1]),
    "PHOENIX_TELEMETRY_ENABLED": "false",
}
url = f"http://127.0.0.1:{ports[0]}"


def outcome(call):
    try:
        return f"{len(call())} items"
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def main():
    client = Client(base_url=url)
    print(f"arize-phoenix {version('arize-phoenix')}, client {version('arize-phoenix-client')}")
    seen = {}
    for name in ("team agent", "team/agent", "v1?beta"):
        project = client.projects.create(name=name)
        spans = client.spans.get_spans
        seen[name] = (
            outcome(lambda: client.projects.get(project_name=name)),
            outcome(lambda: spans(project_identifier=name)),
            outcome(lambda: spans(project_identifier=project["id"])),
        )
        for method, text in zip(("get by name", "spans by name", "spans by id"), seen[name]):
            print(f"{name!r:14} {method:14} {text}")
    page = httpx.get(f"{url}/v1/projects/team/agent/spans")
    kind = page.headers["content-type"].split(";")[0]
    print(f"the server on the unescaped path: {page.status_code} {kind}")
    by_id = {answers[2] for answers in seen.values()}
    slash, question = seen["team/agent"], seen["v1?beta"]
    return (
        seen["team agent"][:2] == ("3 items", "0 items")
        and slash[0].startswith("ValueError") and question[0].startswith("ValueError")
        and slash[1].startswith("JSONDecodeError")
        and question[1].startswith("HTTPStatusError: Client error '404")
        and "/v1/projects/v1?" in question[1]
        and (page.status_code, kind) == (200, "text/html")
        and by_id == {"0 items"}
    )


server = subprocess.Popen(
    [sys.executable, "-m", "phoenix.server.main", "serve"],
    env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
try:
    for _ in range(480):  # a start may take minutes on a busy machine
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/healthz").is_success:
                break
        time.sleep(0.5)
    else:
        sys.exit("The server has not started.")
    sys.exit(0 if main() else "The behaviour has changed.")
finally:
    server.terminate()
    server.wait()
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/names.py" "$folder/data"
