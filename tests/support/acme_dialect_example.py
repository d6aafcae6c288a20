"""The dialect of the examples, and the attributes of a model call in it."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

ACME = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "plugins" / "acme_dialect.py"))
ACME_MODEL_CALL = {
    "acme.step": "model",
    "acme.model": "acme-large",
    "acme.tokens_in": 12,
    "acme.tokens_out": "3",
    "acme.thread": "s",
    "acme.request": json.dumps(
        {
            "turns": [
                {"speaker": "rules", "text": "Be brief."},
                {"speaker": "customer", "text": "Where is A-17?"},
            ]
        }
    ),
    "acme.reply": {
        "turns": [
            {
                "speaker": "bot",
                "actions": [{"ref": "c1", "action": "get_order", "arguments": {"id": "A-17"}}],
            }
        ]
    },
}
