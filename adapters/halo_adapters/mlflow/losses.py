"""What MLflow does not keep of a span, and what the adapter does not read of it."""

LOSSES = (
    "MLflow keeps neither the resource of an OpenTelemetry span nor the library that recorded it.",
    "MLflow takes no log records, and so no messages that an instrumentation writes into these.",
    "MLflow decodes a text in an attribute of an OpenTelemetry span that is a text in JSON.",
    "MLflow compares the start of traces in milliseconds.",
)
