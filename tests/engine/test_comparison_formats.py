"""A comparison in the formats that pull requests, code scanning and test reports take."""

from __future__ import annotations

import json
import re

import pytest
from markdown_it import MarkdownIt

from halo_engine.findings import CodeLine, Finding, Severity
from halo_engine.report.registry import COMPARISONS, load_comparison_renderer, renderer_names
from halo_engine.schema import Failure
from halo_engine.sides import Comparison, NotCompared
from halo_engine.sides.renderer import ComparisonInfo
from halo_engine.text.sanitize import INVISIBLE
from result_formats import junit_outcomes, junit_suite, sarif_run
from sample_comparisons import (
    BASE_IDS,
    HEAD_IDS,
    PLACE,
    comparison,
    full_comparison,
    mark,
    shown,
)

INFO = ComparisonInfo(
    base_url=lambda trace_id, _span: f"https://old.example/{trace_id}",
    head_url=lambda trace_id, _span: f"https://new.example/{trace_id}",
)
HOSTILE = (
    "a | b` <script>alert(1)</script> @octocat fixes #12 and GH-7, see !34 "
    "[x](https://evil.example) ![i](https://evil.example/i.png) \u202e\x1b[31m </details> ]]> "
    "\n/close\n| c | d |\n::error::x"
)


def rendered(name: str, compared: Comparison, info: ComparisonInfo = INFO) -> str:
    return load_comparison_renderer(name)(compared, info).decode()


def html(markdown: str) -> str:
    """What GitHub makes of ``markdown``: tables and raw HTML are on."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)


def outside_code(markdown: str) -> str:
    """Where names of people and numbers of issues are links."""
    return re.sub("<code>.*?</code>", "", html(markdown), flags=re.DOTALL)


def rows(markdown: str) -> list[list[str]]:
    return [
        [
            re.sub("<[^>]+>", "", cell).strip()
            for cell in re.findall("<td>(.*?)</td>", row, re.DOTALL)
        ]
        for row in re.findall("<tr>(.*?)</tr>", html(markdown), re.DOTALL)
    ]


def hostile() -> Comparison:
    """A comparison in which every text that a trace, a person or a model writes is hostile."""
    found = shown(
        "x",
        2,
        40,
        title=HOSTILE,
        summary=HOSTILE,
        recommendation=HOSTILE,
        failure_mode="tool_error_mishandled",
        cause=HOSTILE,
        issue=mark(1),
        code_causes=(CodeLine(path="a b/ü|`<x>.py", line=1, text=HOSTILE),),
    )
    return comparison(
        found,
        not_compared=(NotCompared(issue_id="HALO-2", title=HOSTILE, reason="asked"),),
        failures=(Failure(stage=HOSTILE, where=HOSTILE, what=HOSTILE),),
    )


def test_the_built_in_formats_are_found_by_entry_point() -> None:
    assert {"json", "junit", "md", "sarif"} <= set(renderer_names(COMPARISONS))


@pytest.mark.parametrize("name", ["json", "junit", "md", "sarif"])
def test_no_format_holds_characters_that_a_terminal_acts_on(name: str) -> None:
    text = rendered(name, hostile())
    assert INVISIBLE.sub("", text) == text


# -- Markdown ------------------------------------------------------------------------------------


def test_the_verdict_comes_first() -> None:
    first, *_ = rendered("md", full_comparison()).splitlines()
    assert first == "### halo-integrations: 1 new, 1 worse, at worst critical"
    first, *_ = rendered("md", comparison(shown("gone", 30, 0))).splitlines()
    assert first == "### halo-integrations: no regression"


def test_changes_are_in_the_table_and_the_rest_is_folded() -> None:
    text = rendered("md", full_comparison())
    open_part, *folded = text.split("<details>")
    assert [row[0] for row in rows(open_part) if row] == ["new", "new", "worse", "gone", "better"]
    assert [row[0] for row in rows(folded[0]) if row] == ["unchanged", "too little data"]
    assert text.count("<details>") == text.count("</details>") == 3


def test_a_row_says_issue_shares_difference_and_where_to_look() -> None:
    (row,) = (r for r in rows(rendered("md", full_comparison())) if r and "HALO-1" in r)
    assert row[1:4] == ["HALO-1", "critical", "The failure called new"]
    assert row[4:6] == ["0.0% (0 of 100)", "30.0% (30 of 100)"]
    assert re.fullmatch(r"\+30\.0 \(\+\d+\.\d to \+\d+\.\d\)", row[6])


def test_links_lead_to_the_platform_of_the_side_that_shows_it() -> None:
    text = rendered("md", comparison(shown("new", 0, 30)))
    assert f"(https://new.example/{HEAD_IDS[0]})" in text
    text = rendered("md", comparison(shown("gone", 30, 0)))
    assert f"(https://old.example/{BASE_IDS[0]})" in text


def test_what_could_not_be_told_is_not_folded_away() -> None:
    open_part = rendered("md", full_comparison()).partition("<details>")[0]
    assert "Not compared: HALO-9" in open_part
    assert "traces a side would tell a share that halved or doubled" in open_part


def test_hostile_texts_stay_in_their_cells_and_reach_nobody() -> None:
    text = rendered("md", hostile())
    (row,) = (row for row in rows(text) if row)
    assert len(row) == 8
    assert not re.search(r"@|[#!]\d|GH-\d", outside_code(text))
    tags = set(re.findall("<(/?[a-zA-Z]+)", text))
    assert tags == {"details", "/details", "summary", "/summary"}
    assert set(re.findall('(?:href|src)="https?://([^/"]+)', html(text))) == {"new.example"}
    assert not re.search("^/|^::", text, re.MULTILINE)


def test_a_comment_has_room_for_many_issues() -> None:
    many = [shown(f"f{n}", 0, 30, title="x | @" * 60) for n in range(150)]
    text = rendered("md", comparison(*many))
    assert len(text) < 65_536
    assert "And 110 more." in text


# -- JUnit ---------------------------------------------------------------------------------------


def test_a_regression_fails_and_what_is_not_told_is_skipped() -> None:
    suite = junit_suite(rendered("junit", full_comparison()).encode())
    assert suite.attrib["name"] == "release=2 against release=1"
    mode = "tool_error_mishandled"
    assert junit_outcomes(suite) == {
        "HALO-1": "failure",
        f"{mode}-worse": "failure",
        f"{mode}-gone": "passed",
        f"{mode}-better": "passed",
        f"{mode}-unchanged": "passed",
        f"{mode}-unclear": "skipped",
        "HALO-2": "skipped",
        "HALO-9": "skipped",
        "labelling": "error",
    }
    (failure, *_) = suite.iter("failure")
    assert failure.attrib["type"] == "new"
    assert "30 of 100 (30.0%) against 0 of 100 (0.0%)" in failure.attrib["message"]
    assert f"https://new.example/{HEAD_IDS[0]}" in (failure.text or "")


def test_hostile_texts_are_texts_in_junit() -> None:
    suite = junit_suite(rendered("junit", hostile()).encode())
    assert len(suite) == 3
    assert all("\n" not in case.attrib["name"] for case in suite)


# -- SARIF ---------------------------------------------------------------------------------------


def test_results_say_how_they_compare_with_the_baseline() -> None:
    run = sarif_run(rendered("sarif", full_comparison()).encode())
    found = {r["properties"]["finding"].rpartition("-")[2]: r for r in run["results"]}
    assert {name: result["baselineState"] for name, result in found.items()} == {
        "new": "new",
        "muted": "new",
        "worse": "updated",
        "better": "updated",
        "gone": "absent",
        "unchanged": "unchanged",
    }
    levels = {name: result["level"] for name, result in found.items()}
    assert (levels["new"], levels["worse"], levels["better"]) == ("error", "warning", "note")
    assert (found["gone"]["level"], found["gone"]["kind"]) == ("none", "pass")
    assert [name for name, result in found.items() if "suppressions" in result] == ["muted"]


def test_a_result_is_at_its_cause_with_other_places_related() -> None:
    run = sarif_run(rendered("sarif", full_comparison()).encode())
    (worse,) = (r for r in run["results"] if r["properties"]["finding"].endswith("worse"))
    place = worse["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "shop/agent.py"
    assert place["region"]["startLine"] == 40
    (related,) = worse["relatedLocations"]
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "shop/my%20tools.py"
    assert worse["hostedViewerUri"] == f"https://new.example/{HEAD_IDS[0]}"


def test_findings_without_a_place_are_counted_and_failures_told() -> None:
    (invocation,) = sarif_run(rendered("sarif", full_comparison()).encode())["invocations"]
    texts = [each["message"]["text"] for each in invocation["toolExecutionNotifications"]]
    assert texts[0].startswith("1 finding left out: no place in the agent's code is known.")
    assert texts[1] == "labelling: HALO-8: its rule failed: no table"


def test_the_fingerprint_is_that_of_the_finding() -> None:
    def prints(*findings: Finding) -> set[str]:
        run = sarif_run(rendered("sarif", comparison(*findings)).encode())
        return {value for r in run["results"] for value in r["partialFingerprints"].values()}

    one = shown("one", 0, 30, defined_at=(PLACE,))
    again = shown("one", 5, 9, defined_at=(PLACE,), severity=Severity.LOW)
    assert prints(one) == prints(again) == {one.fingerprint}


def test_hostile_texts_and_paths_are_valid_sarif() -> None:
    (result,) = sarif_run(rendered("sarif", hostile()).encode())["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b/%C3%BC%7C%60%3Cx%3E.py"
    assert "](" not in result["message"]["text"]


# -- JSON ----------------------------------------------------------------------------------------


def test_the_json_is_the_whole_comparison() -> None:
    compared = full_comparison()
    assert Comparison.model_validate(json.loads(rendered("json", compared))) == compared
