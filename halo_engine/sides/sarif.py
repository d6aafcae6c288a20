"""A comparison as SARIF: the first side is the baseline of the second."""

from __future__ import annotations

from collections.abc import Mapping

from halo_engine.report.sarif import Located, sarif_log
from halo_engine.sides.comparison import Comparison
from halo_engine.sides.examples import example_of
from halo_engine.sides.renderer import ComparisonInfo
from halo_engine.sides.sentences import shares_text, verdict_word
from halo_engine.statistics.difference import ChangeVerdict

CATEGORY = "halo-compare/"
# Verdicts in the words of the format; what is not told to have changed is unchanged.
BASELINE_STATES: Mapping[ChangeVerdict, str] = {
    ChangeVerdict.NEW: "new",
    ChangeVerdict.WORSE: "updated",
    ChangeVerdict.BETTER: "updated",
    ChangeVerdict.UNCHANGED: "unchanged",
    ChangeVerdict.UNDECIDED: "unchanged",
    ChangeVerdict.GONE: "absent",
}


def render_comparison_sarif(compared: Comparison, info: ComparisonInfo) -> bytes:
    """``compared`` as SARIF: each failure that has a place in the agent's code."""
    results = [
        Located(
            finding=each.finding,
            text=f"{verdict_word(each.difference).capitalize()}: {shares_text(each)}",
            page=example_of(each, info).url,
            baseline=BASELINE_STATES[each.verdict],
        )
        for each in compared.issues
    ]
    return sarif_log(results, CATEGORY, compared.failures)
