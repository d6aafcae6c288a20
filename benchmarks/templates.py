"""Compares the miner of message templates with Drain on generated messages.

    pip install drain3
    python benchmarks/templates.py

Printed are, for each miner and set of messages, precision and recall over pairs of messages, the
share of messages whose group is exactly right, and the seconds taken. Without ``drain3`` only the
project's own masking and miner are measured. All get the same masked messages, in one order.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from error_messages import TUNED, UNSEEN, Miner, grouping_of
from halo_engine.text.template_mining import mine_templates
from halo_engine.text.templates import message_template

SEEDS = range(5)


def masked(messages: Sequence[str]) -> list[str]:
    """Values with a shape of their own masked, nothing compared."""
    return [message_template(message) for message in messages]


def mined(messages: Sequence[str]) -> list[str]:
    """The project's miner."""
    templates = mine_templates(Counter(messages))
    return [templates[message].key for message in messages]


def drain(similarity: float) -> Miner:
    """Drain with a threshold of ``similarity``."""
    from drain3 import TemplateMiner
    from drain3.template_miner_config import TemplateMinerConfig

    logging.getLogger("drain3").setLevel(logging.ERROR)

    def miner(messages: Sequence[str]) -> list[str]:
        config = TemplateMinerConfig()
        config.drain_sim_th, config.profiling_enabled = similarity, False
        drained = TemplateMiner(config=config)
        texts = masked(messages)
        for text in sorted(set(texts)):
            drained.add_log_message(text)
        ids = {text: drained.add_log_message(text)["cluster_id"] for text in sorted(set(texts))}
        return [str(ids[text]) for text in texts]

    return miner


def main() -> None:
    miners: dict[str, Miner] = {"masking alone": masked, "halo": mined}
    if find_spec("drain3"):
        miners |= {f"drain {similarity}": drain(similarity) for similarity in (0.4, 0.5, 0.6, 0.7)}
    for name, miner in miners.items():
        for title, families in (("tuned", TUNED), ("unseen", UNSEEN)):
            began = time.perf_counter()
            found = grouping_of(miner, families, SEEDS)
            print(
                f"{name:14} {title:7} precision {found.precision:.3f}  recall {found.recall:.3f}  "
                f"accuracy {found.accuracy:.3f}  {time.perf_counter() - began:5.1f} s"
            )


main()
