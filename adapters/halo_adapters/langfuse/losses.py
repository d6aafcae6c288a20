"""What Langfuse does not keep of a span, as measured on 4.16 with spans sent over OTLP."""

LOSSES = (
    "Langfuse keeps of a status whether it is an error: OK and UNSET come back as one.",
    "Langfuse keeps no events of spans: what is left of an exception is the message of the status, "
    "and nothing where that is empty: set it to what the exception says.",
    "Langfuse stores an empty input or output as it stores none: what may have been empty is not "
    "judged.",
    "Langfuse keeps times to the millisecond.",
    "Langfuse drops the messages that OpenInference writes one by one (llm.input_messages, "
    "llm.output_messages) where a span has an input.value or an output.value beside them: set both "
    "to the whole request and the whole response, as JSON.",
    "Langfuse returns a text attribute that is JSON as what it holds: the text 84 as a number.",
    "Langfuse counts the tokens of a model that it knows where a call records none.",
)
