"""What an annotation of ours says about itself: the run that wrote it, and what it wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from halo_adapters.base import ANNOTATION_PREFIX, Annotation
from halo_integrations.version import __version__

RUN_ID, FINGERPRINT, DIGEST, FOUND_BY = "run_id", "fingerprint", "digest", "found_by"
SUMMARY = f"{ANNOTATION_PREFIX}summary"
# Annotator kinds: what a detector found, and what a model had a part in.
RULE, MODEL = "CODE", "LLM"
DIGEST_CHARS = 20

# What a mark is about: a finding, by its fingerprint, or else the annotation's name; and a trace.
Subject = tuple[str, str]


def with_provenance(annotation: Annotation, run_id: str, **details: object) -> Annotation:
    """``annotation`` with the run that writes it, and a digest of what people may change in it."""
    metadata: Mapping[str, Any] = {
        **details,
        RUN_ID: run_id,
        "version": __version__,
        DIGEST: digest_of(annotation),
    }
    return annotation.model_copy(update={"metadata": metadata})


def digest_of(annotation: Annotation) -> str:
    """Hexadecimal SHA-256 of label, score and explanation, shortened to 20 digits."""
    content = orjson.dumps([annotation.label, annotation.score, annotation.explanation])
    return hashlib.sha256(content).hexdigest()[:DIGEST_CHARS]


def writer_of(annotation: Annotation | None) -> str | None:
    """The id of the run that an annotation names as its writer."""
    run_id = annotation.metadata.get(RUN_ID) if annotation else None
    return run_id if isinstance(run_id, str) else None


def subject_of(annotation: Annotation) -> Subject:
    """What an annotation of ours is about."""
    return str(annotation.metadata.get(FINGERPRINT, annotation.name)), annotation.trace_id
