"""The settings of the assistant."""

MODEL = "scripted-model-1"
TEMPERATURE = 0.2

# Tokens of one answer. Most answers are two or three sentences.
MAX_TOKENS = 600

# Model calls in one conversation.
MAX_STEPS = 7

# Seconds.
MODEL_TIMEOUT = 60.0
SEARCH_TIMEOUT = 0.4

# Passages that a search returns at most.
PASSAGES = 2
