"""What Phoenix does not keep of a span, and what the adapter does not read of it."""

LOSSES = (
    "Phoenix keeps no attributes of the resource but the name of the project.",
    "Phoenix keeps times to the microsecond.",
    "Events are read of spans with status ERROR only.",
    "Embedding vectors are not read, nor attributes whose first name is on none of the newest 50 "
    "spans of the kind.",
)
