"""Retrieved documents, in the forms of OpenInference and of SDKs."""

from __future__ import annotations

from typing import Any

from halo_adapters.json_values import JsonObject, name_of, number_of
from halo_adapters.messages.decode import unwrapped
from halo_adapters.messages.parts import first_of
from halo_engine.fields import as_text
from halo_engine.schema import Document

# Where SDKs have the text of a document; LangChain names it ``page_content``.
DOCUMENT_TEXTS = ("content", "page_content", "pageContent", "text")


def decode_documents(items: list[Any]) -> tuple[Document, ...]:
    """The retrieved documents, in order."""
    return tuple(decode_document(unwrapped(item, "document")) for item in items)


def decode_document(node: JsonObject) -> Document:
    """One document, also one that LangChain serialised; a score that is no number becomes None."""
    fields = node.get("kwargs")
    inner = fields if "lc" in node and isinstance(fields, dict) else node
    return Document(
        id=name_of(inner.get("id")),
        content=as_text(first_of(inner, *DOCUMENT_TEXTS)),
        score=number_of(inner.get("score")),
    )


def documents_in(result: Any) -> list[Any] | None:
    """The documents that a retriever returned (JSON already parsed); None where it is no list."""
    value = result
    if isinstance(result, dict) and len(result) == 1:
        (value,) = result.values()
    is_list = isinstance(value, list) and all(isinstance(item, dict | str) for item in value)
    return value if is_list else None
