"""What MLflow does not keep of a span, and what the adapter does not read of it."""

LOSSES = (
    "MLflow keeps no attributes of the resource of an OpenTelemetry span.",
    "MLflow compares the start of traces in milliseconds.",
)
