"""Play conversations with the assistant as it is, and write their traces.

    python run.py --out traces.jsonl --count 600 --seed 1

Customers, the model, its provider and the shop are scripted (``halo_integrations.demo.world``) and
stay as they are. What the assistant makes of them is the code in ``assistant``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from halo_integrations.demo.world import play_agent

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Play conversations, and write their traces.")
    parser.add_argument("--out", type=Path, default=Path("traces.jsonl"), help="[%(default)s]")
    parser.add_argument("--count", type=int, default=600, help="conversations [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of the conversations [%(default)s]")
    parser.add_argument("--version", help="of the assistant, as its traces name it")
    given = parser.parse_args()
    play_agent(HERE, given.out, count=given.count, seed=given.seed, version=given.version)
    print(f"{given.count} conversations in {given.out}")


if __name__ == "__main__":
    main()
