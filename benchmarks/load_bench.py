"""Loading a file: MB/s and peak memory of each step, each in a new process, relative to parsing.

python benchmarks/load_bench.py traces.jsonl
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

MEASURE = """
import json, sys, tempfile, time
from memory import peak_mb
path = sys.argv[1]
import orjson
import halo_integrations as halo
from halo_adapters.base import TraceQuery
from halo_adapters.files.adapter import FilesAdapter
halo.pull
home = tempfile.mkdtemp()
start = time.perf_counter()
{work}
seconds = time.perf_counter() - start
peak = peak_mb()
print(json.dumps({{"seconds": seconds, "peak_mb": peak}}))
"""

STEPS = {
    "orjson.loads alone": "for line in open(path, 'rb'): orjson.loads(line)",
    "read and map": (
        "for page in FilesAdapter(FilesAdapter.Settings(path=path)).pull(TraceQuery()): pass"
    ),
    "read, map and store": "halo.pull(path, home=home)",
    "and analyse": "halo.run(path, home=home)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    path = parser.parse_args().path.absolute()
    size = path.stat().st_size / 1e6
    print(f"{path.name}: {size:,.0f} MB")
    reference = None
    for name, work in STEPS.items():
        script = MEASURE.format(work=work)
        command = [sys.executable, "-c", script, str(path)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parent
        )
        row = json.loads(done.stdout)
        reference = reference or row["seconds"]
        print(
            f"  {name:20} {size / row['seconds']:7.1f} MB/s  {row['seconds'] / reference:5.1f} x "
            f"the time of parsing  peak {row['peak_mb']:4.0f} MB"
        )


if __name__ == "__main__":
    main()
