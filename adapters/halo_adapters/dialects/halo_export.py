"""The ``inference.*`` attributes of HALO's export format."""

from __future__ import annotations

from halo_adapters.dialects.base import Dialect, SpanField, read_span_kind
from halo_adapters.json_values import integer_of, name_of, number_of


class HaloExport(Dialect):
    """Summaries that HALO writes beside the original attributes, so the least trusted."""

    name = "halo_export"
    rank = 400
    fields = (
        SpanField("kind", read_span_kind, ("inference.observation_kind",)),
        SpanField("model_name", name_of, ("inference.llm.model_name",)),
        SpanField("prompt_tokens", integer_of, ("inference.llm.input_tokens",)),
        SpanField("completion_tokens", integer_of, ("inference.llm.output_tokens",)),
        SpanField("cost", number_of, ("inference.llm.cost.total",)),
        SpanField("session_id", name_of, ("inference.session_id",)),
        SpanField("user_id", name_of, ("inference.user_id",)),
    )
