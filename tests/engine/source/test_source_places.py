"""Places in source code that are named with a quote, and what is defined where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from halo_engine.findings import CodeLine, Report
from halo_engine.source import SourceFiles
from halo_engine.source.definitions import with_definitions
from halo_engine.source.places import code_lines
from halo_engine.text.sanitize import WARNING
from sample_reports import affected, finding

PROMPTS = """\
SYSTEM = (
    "You are the service assistant of a shop. Look up the "
    "order before you promise anything to a customer."
)
RULE = "Offer store credit to everybody."
"""
TOOLS = """\
TOOLS = {
    "get_order": tool("Read one order.", order_id=TEXT),
}


def refund(order):
    raise ToolError("the ledger is closed for this order")
"""


@pytest.fixture
def files(tmp_path: Path) -> SourceFiles:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "prompts.py").write_text(PROMPTS, encoding="utf-8")
    (tmp_path / "shop" / "tools.py").write_text(TOOLS, encoding="utf-8")
    return SourceFiles(tmp_path)


def place(line: Any, quote: Any, path: Any = "shop/prompts.py") -> dict[str, Any]:
    return {"path": path, "line": line, "quote": quote}


RULE = CodeLine(path="shop/prompts.py", line=5, text='RULE = "Offer store credit to everybody."')


@pytest.mark.parametrize("line", [2, 5, 8])
def test_a_quoted_line_is_found_up_to_three_lines_away_and_kept_with_its_own_number(
    line: int, files: SourceFiles
) -> None:
    assert code_lines([place(line, "Offer  store credit")], files) == ([RULE], [])


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (place(1, "Offer store credit"), "they are in line 5"),
        (place(5, "Offer nothing at all"), "not within 3 lines"),
        (place(5, "the"), "copy the words"),
        (place(5, "Offer store", "shop/none.py"), "there is no file"),
        (place(5, "Offer store", "../prompts.py"), "there is no file"),
        (place("5", "Offer store"), "write {"),
        (place(True, "Offer store"), "write {"),
        (place(5, "x" * 2000), "at most"),
        ("shop/prompts.py:5", "write {"),
    ],
)
def test_a_place_that_is_not_as_it_says_is_refused_with_the_reason(
    item: Any, problem: str, files: SourceFiles
) -> None:
    found, problems = code_lines([item], files)
    assert not found
    assert problem in problems[0]


def test_without_the_source_code_no_place_is_accepted() -> None:
    found, problems = code_lines([place(5, "Offer store credit")], None)
    assert not found
    assert "the source code was not given" in problems[0]


def test_a_secret_in_the_line_of_a_place_is_masked(tmp_path: Path) -> None:
    key = "_".join(("sk", "live", "4eC39HqLyjWDarjtT1zdp7dcQ2sXb9Km"))
    (tmp_path / "pay.py").write_text(f'API_KEY = "{key}"  # of the bank\n', encoding="utf-8")
    ((found,), _) = code_lines([place(1, "API_KEY =", "pay.py")], SourceFiles(tmp_path))
    assert key not in found.text
    assert found.text.startswith("API_KEY")


def places(files: SourceFiles, quote: str = "nothing of the code", **changes: Any) -> list[str]:
    made = finding(affected(quote=quote), **changes)
    located = with_definitions(Report(findings=(made,)), files)
    return [str(line) for line in located.findings[0].defined_at]


def test_the_definition_of_the_tool_of_a_finding_is_named(files: SourceFiles) -> None:
    assert places(files, tool="get_order") == ["shop/tools.py:2"]


def test_the_message_of_an_error_is_found_where_the_code_has_it(files: SourceFiles) -> None:
    message = "ToolError <id>: the ledger is closed for this order"
    assert places(files, message=message) == ["shop/tools.py:7"]


def test_a_prompt_that_is_quoted_is_found_in_the_lines_it_is_written_in(
    files: SourceFiles,
) -> None:
    said = "shop. Look up the order before you promise anything to a customer. Be kind."
    assert places(files, said) == ["shop/prompts.py:3"]


def test_a_tool_that_there_is_not_is_found_where_a_prompt_names_it(files: SourceFiles) -> None:
    said = 'LIMIT = 3\nRULES = f"Up to {LIMIT} times use issue_store_credit."\n'
    (files.root / "shop" / "rules.py").write_text(said, encoding="utf-8")
    name = "issue_store_credit"
    assert places(files, quote=name, tool=name) == ["shop/rules.py:2"]


def test_what_does_not_stand_in_the_code_or_in_too_many_places_is_not_located(
    files: SourceFiles,
) -> None:
    many = files.root / "shop" / "many.py"
    many.write_text('call("send_mail")\n' * 4, encoding="utf-8")
    assert places(files, tool="send_mail") == []
    assert places(files, tool="issue_credit", message="no such message anywhere") == []


@pytest.mark.parametrize(
    "line",
    [
        "    def find(self, q: str) -> dict[str, list[int]]:  # <b> & \"'",
        "\treturn a[0](b) if x < y else `z`  # www.example.com",
    ],
)
def test_a_line_of_code_is_kept_exactly_as_it_stands(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{line}\n", encoding="utf-8")
    ((found,), _) = code_lines([place(1, line.strip()[:20], "a.py")], SourceFiles(tmp_path))
    assert found.text == line


def test_invisible_characters_of_a_line_are_shown_as_escapes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("name = 'a\u202eb\x1b[31m'\n", encoding="utf-8")
    ((found,), _) = code_lines([place(1, "name = ", "a.py")], SourceFiles(tmp_path))
    assert found.text == r"name = 'a\u202eb\u001b\u005b\u0033\u0031\u006d'"


SHOP = """\
class LedgerClosed(Exception):
    pass

def pay():
    try:
        charge()
    except LedgerClosed:
        return None
LIMIT = dict(max_rounds=3)
"""


def test_an_error_is_found_where_it_is_handled_how_that_ends_and_where_it_is_defined(
    files: SourceFiles,
) -> None:
    (files.root / "shop" / "pay.py").write_text(SHOP, encoding="utf-8")
    thrown = affected(quote="shop.pay.LedgerClosed", field="events.0.attributes.exception.type")
    located = with_definitions(Report(findings=(finding(thrown),)), files)
    named = [str(line) for line in located.findings[0].defined_at]
    assert named == ["shop/pay.py:7", "shop/pay.py:8", "shop/pay.py:1"]
    raised = "ToolError <id>: no such text in the code"
    assert places(files, message=raised) == ["shop/tools.py:7"]


def test_a_setting_that_a_finding_names_is_found(files: SourceFiles) -> None:
    (files.root / "shop" / "pay.py").write_text(SHOP, encoding="utf-8")
    assert places(files, summary="ended after max_rounds (3)") == ["shop/pay.py:9"]


LIMITS = """\
MAX_ROUNDS: int = 2 * ROUNDS
ROUNDS = 3
    if rounds == MAX_ROUNDS:
        raise Ended(f"the assistant has given up after {MAX_ROUNDS} rounds")
"""


def test_a_constant_in_the_line_of_a_message_is_found_where_it_has_its_value(
    files: SourceFiles,
) -> None:
    (files.root / "shop" / "limits.py").write_text(LIMITS, encoding="utf-8")
    said = "the assistant has given up after 6 rounds"
    named = [f"shop/limits.py:{line}" for line in (4, 1, 2)]
    assert places(files, said) == named
    (files.root / "shop" / "others.py").write_text("MAX_ROUNDS = 9\n", encoding="utf-8")
    assert places(SourceFiles(files.root), said) == named[:1]  # which of both is not said


def test_the_constants_in_a_line_of_generated_code_are_not_looked_up(files: SourceFiles) -> None:
    names = [f"VALUE_{number}" for number in range(50)]
    bundle = f"say('the ledger is shut for now', {', '.join(names)})\n"
    values = "".join(f"{name} = 1\n" for name in names)
    (files.root / "shop" / "bundle.js").write_text(bundle + values, encoding="utf-8")
    assert places(files, "the ledger is shut for now") == ["shop/bundle.js:1"]


ARGUMENTS = """\
AMOUNT = {"type": "number"}
TOOLS = {
    "pay_back": tool(
        "Pay money back.",
        order_id=TEXT,
        amount=AMOUNT,
    ),
    "credit": tool("Give credit.", amount=AMOUNT),
}
SCHEMA = [
    {
        "name": "book",
        "parameters": {
            "properties": {
                "sum": {"type": "integer"},
            },
        },
    },
    {
        "name": "hand_over",
        "parameters": {"properties": {"sum": {"type": "string"}}},
    },
]
"""


@pytest.mark.parametrize(
    ("tool", "message", "lines"),
    [
        ("pay_back", "amount is not of type number", [6, 1, 3]),
        ("credit", "amount is not of type number", [8, 1]),
        ("book", "sum is not of type integer", [15, 12]),
        ("book", "items.[].sum is missing", [15, 12]),
        ("book", "other is not declared", [12]),
        ("book", "the runtime refuses them", [12]),
    ],
)
def test_an_argument_is_found_in_the_declaration_of_its_tool(
    files: SourceFiles, tool: str, message: str, lines: list[int]
) -> None:
    (files.root / "shop" / "declared.py").write_text(ARGUMENTS, encoding="utf-8")
    named = places(files, failure_mode="invalid_tool_arguments", tool=tool, message=message)
    assert named == [f"shop/declared.py:{line}" for line in lines]


def test_the_member_that_holds_a_secret_is_found(files: SourceFiles) -> None:
    (files.root / "shop" / "pay.py").write_text("class Account:\n    api_key: str\n", "utf-8")
    masked = '"reference": "ch_7", "api_key": "[redacted:stripe-key#jpo2bi7a]'
    assert places(files, quote=masked) == ["shop/pay.py:2"]


def test_a_work_order_and_records_of_traces_are_no_code(files: SourceFiles) -> None:
    said = "the ledger is closed for this order"
    (files.root / "HALO-1.md").write_text(f"> {WARNING}\n\n{said}\n", encoding="utf-8")
    (files.root / "HALO-1.inputs.jsonl").write_text(f"{said}\n", encoding="utf-8")
    assert places(files, message=f"ToolError <id>: {said}") == ["shop/tools.py:7"]
