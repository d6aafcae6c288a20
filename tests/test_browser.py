"""What a person sees in the UI of Phoenix."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from browser import open_page, show_annotations
from halo_integrations.embedded_phoenix import EmbeddedPhoenix
from otlp import send_spans

SPAN_ID = "b7ad6b7169203331"
ANNOTATION = {
    "span_id": SPAN_ID,
    "name": "halo.step_repetition",
    "annotator_kind": "CODE",
    "result": {
        "label": "high",
        "explanation": 'get_order was called 3 times with {"order_id": "LO-53517"}.',
    },
}


def one_span() -> dict:
    start = datetime.now(UTC) - timedelta(minutes=5)
    return {
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": SPAN_ID,
        "name": "get_order",
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(seconds=1)).isoformat(),
        "status": {"code": "STATUS_CODE_OK"},
        "attributes": {
            "openinference.span.kind": "TOOL",
            "input.value": '{"order_id": "LO-53517"}',
            "output.value": '{"status": "shipped"}',
        },
    }


@retry(
    retry=retry_if_exception_type(httpx.HTTPStatusError),
    wait=wait_fixed(0.5),
    stop=stop_after_delay(30),
    reraise=True,
)
def annotate(base_url: str) -> None:
    """Annotate the span as soon as the server has taken it in."""
    url = f"{base_url}/v1/span_annotations"
    httpx.post(url, params={"sync": "true"}, json={"data": [ANNOTATION]}).raise_for_status()


@pytest.mark.browser
def test_the_span_shows_the_name_and_the_explanation_of_its_annotation(
    phoenix: EmbeddedPhoenix, phoenix_project: str, artifacts: Path
) -> None:
    send_spans(phoenix.base_url, [one_span()], phoenix_project)
    annotate(phoenix.base_url)
    with open_page() as page:
        show_annotations(page, phoenix.base_url, SPAN_ID)
        row = page.get_by_role("row", name=f"{ANNOTATION['name']} CODE high")
        expect(row).to_contain_text(ANNOTATION["result"]["explanation"])
        expect(row).to_be_visible()
        page.screenshot(path=artifacts / "phoenix-span-annotations.png")
