"""Record what frameworks emit: python tests/frameworks/record NAME ...

For each variant of ``variants.toml`` an environment is made, every scenario played against the
scripted model, and what the instrumentation exports written to ``recordings``: one export request a
line for each run, which scenario each trace plays, and the versions of what was installed.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from environments import HERE, Variant, python_of, variants, versions
from play import DIED
from script import CLEAN, SCENARIOS, prompt_of
from server import served
from tidy import tidied

RECORDINGS = HERE.parent / "recordings"
SECONDS = 90
COUNTS = Counter({"ok": 2})


def main(names: list[str]) -> int:
    """Record each variant; the exit code."""
    table = variants()
    if not names or set(names) - set(table):
        print("usage: record NAME ..., of:", *sorted(table))
        return 2
    for name in names:
        record(table[name])
    return 0


def record(variant: Variant) -> None:
    """Play every scenario and write the recording."""
    python = python_of(variant)
    lines, truth = [], {}
    with served() as bench:
        for scenario, run in runs():
            died = play(variant, python, scenario, bench.address(run))
            spans = tidied(bench.spans.get(run, []))
            if died and scenario in CLEAN and scenario != "ok":
                # The framework did not let the agent tell of the failure.
                print(f"{variant.name} {scenario}: left out, the run died")
            elif spans:
                lines.append(json.dumps({"resourceSpans": spans}, ensure_ascii=False))
                truth[played_trace(spans)] = scenario
            else:
                print(f"{variant.name} {scenario}: no spans")
    write(variant.name, lines, truth, versions(python))


def runs() -> Iterator[tuple[str, str]]:
    """Each scenario with the name of a run that plays it, which spans may hold."""
    played = (scenario for scenario in SCENARIOS for _ in range(COUNTS[scenario] or 1))
    for number, scenario in enumerate(played, 1):
        yield scenario, f"run-{number}"


def play(variant: Variant, python: Path, scenario: str, address: str) -> bool:
    """Let the agent answer in a process of its own; whether the run died."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(python.parents[1]),
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OPENAI_BASE_URL": f"{address}/v1",
        "OPENAI_API_BASE": f"{address}/v1",
        "OPENAI_API_KEY": "scripted",
        "ANTHROPIC_BASE_URL": address,
        "ANTHROPIC_API_KEY": "scripted",
        # LiteLLM would wait for a table of prices from the network.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        **variant.env,
    }
    command = [python, HERE / "play.py", variant.agent, prompt_of(scenario)]
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
    print(f"{variant.name} {scenario} [{process.returncode}] {said.strip()[-200:]!r}", flush=True)
    if process.returncode not in (0, DIED, -signal.SIGKILL):
        raise SystemExit(said)
    return process.returncode != 0


def played_trace(groups: list[dict[str, Any]]) -> str:
    """The trace of a run: that with most spans, as some frameworks write small ones beside it."""
    traces = Counter(
        span["traceId"]
        for group in groups
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    )
    return traces.most_common(1)[0][0]


def write(name: str, lines: list[str], truth: dict[str, str], installed: dict[str, str]) -> None:
    """Write a recording, its truth and its versions."""
    target = RECORDINGS / f"{name}.otlp.jsonl.gz"
    target.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0))
    for kind, content in (("truth", truth), ("versions", installed)):
        text = json.dumps(content, indent=1) + "\n"
        (RECORDINGS / f"{name}.{kind}.json").write_text(text)
    print(f"{name}: {len(truth)} traces, {target.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
