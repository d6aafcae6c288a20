"""The settings of the assistant."""

MODEL = "scripted-model-1"
TEMPERATURE = 0.2

# Tokens of one answer. Most answers are two or three sentences.
MAX_TOKENS = 110

# Model calls in one conversation.
MAX_STEPS = 6

# Requests of one model call, where the provider refuses some.
MODEL_ATTEMPTS = 2

# Runs of one tool call, where an order is in use.
TOOL_ATTEMPTS = 2

# Characters of a tool's result that the model gets to read.
RESULT_CHARS = 480

# Passages of the help centre: how many, and how similar to the query (0 to 1).
PASSAGES = 2
MIN_SIMILARITY = 0.75
