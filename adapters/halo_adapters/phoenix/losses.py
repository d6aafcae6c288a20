"""What Phoenix does not keep of a span, and what the adapter does not read of it."""

from halo_adapters.phoenix.reader import WHOLE_SPANS

LOSSES = (
    "Phoenix keeps no attributes of the resource but the name of the project.",
    "Phoenix keeps times to the microsecond.",
    "Phoenix keeps no attributes of an exception but its type, message and stack trace.",
    "Phoenix renumbers numbers in names of attributes, and reads values whose name ends in "
    '"metadata" as JSON.',
    "Phoenix drops a span with bytes in an attribute, or with an integer of more than 64 bits in "
    "its metadata, though it accepts it.",
    "Phoenix lists a session in the first project that used its id only.",
    "Embedding vectors are not read.",
    "Phoenix takes no log records, and so no messages that an instrumentation writes into these.",
    f"Of more than {WHOLE_SPANS} spans, those that did not fail and are no roots are read without "
    "events, unless others of their kind and name have some, or one of these in their trace has an "
    "exception; an attribute that no dialect knows may be missed where few of them have it.",
)
