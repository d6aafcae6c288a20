"""What the text of an error says: a rate limit, a failing service, a limit of steps, a wrong call.

The texts are those of providers and frameworks; each pattern names whose.
"""

from __future__ import annotations

import re

from halo_engine.detectors.span_text import holds_any

# Only this many characters of an error's text are searched.
SEARCHED = 4000
# Of an answer to a call, whose text may be a document, the beginning.
BEGINNING = 1000

# -- of services ----------------------------------------------------------------------------------

# A number is a status code only in a context such as "Error code: 429", "HTTP 503", "502 Bad
# Gateway" or "(404)".
STATUS_IN_TEXT = re.compile(
    r"(?i)\b(?:http|status|code|error)(?:/\d(?:\.\d)?)?[\W_]{1,3}(?:code[\W_]{1,3})?([45]\d\d)\b"
    r"|\b([45]\d\d)\s(?:client error|server error|unauthorized|forbidden|not found"
    r"|too many requests|internal server error|bad gateway|service unavailable|gateway time-?out|\{)"
    r"|\A\s{0,9}([45]\d\d)\b|\(([45]\d\d)\)"
)
TOO_MANY_REQUESTS = 429
RATE_LIMIT = re.compile(r"(?i)rate[ _-]?limit|too many requests|overloaded|resource[ _]exhausted")
TIMEOUT = re.compile(r"(?i)time[ds]?[ _-]?out|deadline[ _-]?exceeded")
NAMED = {
    "auth": re.compile(
        r"(?i)AuthenticationError|PermissionDenied|AccessDenied|\bunauthorized\b"
        r"|(?:invalid|incorrect)[ _]api[ _]key|expired[ _]token|token expired"
    ),
    "not_found": re.compile(r"\bNotFoundError\b|model_not_found"),
    "service_error": re.compile(
        r"InternalServerError|ServiceUnavailable|(?i:\bbad gateway\b|\bservice unavailable\b)"
        r"|(?i:\bthe server had an error\b|\b(?:internal )?server[ _]error\b)"
    ),
}

# OpenAI, Azure, Anthropic, Gemini, Bedrock, litellm, vLLM, llama.cpp, and the exceptions that
# frameworks make of them.
CONTEXT_OVERFLOW = re.compile(
    r"(?i)context[ _]?length[ _]?exceeded|maximum context length"
    r"|context ?window ?(?:exceeded|overflow)"
    r"|exceeds? (?:the |its )?(?:model'?s? )?(?:maximum )?context|prompt is too long"
    r"|input(?: token count)?[^.\n]{0,40}exceeds the maximum number of tokens"
    r"|input is too long for (?:the )?requested model|too many (?:input |total text )?tokens"
    r"|ContextWindowExceeded|ContextWindowOverflow|ContextOverflow|ContextLengthExceeded"
)
FILTERED_BY_PROVIDER = re.compile(
    r"(?i)content[ _]?filter|content management policy|ContentPolicyViolation|"
    r"responsible ?ai ?policy|blocked by (?:the )?(?:safety|content)"
)


def http_status_in(text: str) -> int | None:
    """The HTTP status that an error's text names, None if it names none."""
    found = STATUS_IN_TEXT.search(text[:SEARCHED])
    return int(next(filter(None, found.groups()))) if found else None


def is_rate_limit(text: str) -> bool:
    """Whether an error's text reports a rate limit or an overloaded service."""
    status = http_status_in(text)
    return status == TOO_MANY_REQUESTS or RATE_LIMIT.search(text[:SEARCHED]) is not None


def is_transient(text: str) -> bool:
    """Whether a retry may succeed: the error is a rate limit, a timeout or a failing service."""
    return (
        is_rate_limit(text)
        or (http_status_in(text) or 0) >= 500
        or TIMEOUT.search(text[:SEARCHED]) is not None
        or NAMED["service_error"].search(text[:SEARCHED]) is not None
    )


def kind_of_status(status: int | None) -> str | None:
    """The kind of environment error of an HTTP status."""
    if status in (401, 403):
        return "auth"
    if status == 404:
        return "not_found"
    return "service_error" if status is not None and 500 <= status < 600 else None


def kind_named(text: str) -> str | None:
    """The kind of environment error that an error's text names."""
    return next((kind for kind, names in NAMED.items() if names.search(text[:SEARCHED])), None)


def is_environment_error(text: str) -> bool:
    """Whether an error's text reports a reason outside the agent."""
    named = kind_of_status(http_status_in(text)) or kind_named(text)
    return named is not None or is_rate_limit(text)


def is_context_overflow(text: str) -> bool:
    """Whether an error says that a request is longer than the model's context window."""
    return CONTEXT_OVERFLOW.search(text[:SEARCHED]) is not None


def is_filtered_by_provider(text: str) -> bool:
    """Whether an error says that a content filter withheld the answer."""
    return FILTERED_BY_PROVIDER.search(text[:SEARCHED]) is not None


# -- of runtimes ----------------------------------------------------------------------------------

# The name of a limit counts in an error only; an output must state that the limit was reached,
# since it may quote a setting.
LIMIT_NAME = re.compile(r"max_(?:turns|steps|iterations|agent_steps)\b")
LIMIT_REACHED = re.compile(
    r"MaxTurnsExceeded|GraphRecursionError|UsageLimitExceeded|LlmCallsLimitExceeded|(?i:"
    r"recursion limit of \d+ reached|stopped due to (?:max iterations|(?:an )?iteration limit)"
    r"|\bmax(?:imum)?[ _](?:number of )?(?:llm calls?|turns|steps|iterations)\b.{0,30}"
    r"\b(?:exceeded|reached)"
    r"|\b(?:exceeded|reached|exceed)\b.{0,20}\b(?:max(?:imum)?[ _](?:number of )?"
    r"(?:turns|steps|iterations)|request_limit)\b"
    r"|\b(?:function invocation|tool call|step|turn|iteration) limit (?:was |has been )?reached"
    r"|:\s?\"(?:error_)?max_(?:turns|steps|iterations|agent_steps)\")"
)
LIMIT_WORDS = "max", "limit", "recursion"  # one is in each match
# CrewAI, LangChain's older agents, smolagents, Agno.
LAST_ANSWER = re.compile(
    r"(?i)you must give your absolute best final answer"
    r"|i now need to return a final answer based on the previous steps"
    r"|it got stuck and failed to do so\. you are tasked with providing an answer instead"
    r"|tool call limit reached\b"
)
LAST_ANSWER_WORDS = "final answer", "failed to do so", "limit reached"  # one is in each match
# Answers of runtimes to a call of a tool that they do not have: OpenAI Agents, LangGraph, CrewAI,
# LlamaIndex, Pydantic AI, Agent Development Kit, Agent Framework, Agno, AutoGen, Haystack, the
# Vercel AI SDK, smolagents, Strands, MCP.
NO_SUCH_TOOL = re.compile(
    r"(?i)\b(?:tool\W{1,3}[\w.-]{1,80}\W{1,3}(?:is\s)?(?:not found|does not exist|not a valid tool)"
    r"|[\w.-]{1,80}\sis not a valid tool"
    r"|(?:unknown|no such|unavailable) tool\b|\btool not found\b"
    r"|requested (?:function|tool)\b.{0,90}\b(?:not found|does not exist)"
    r"|no tool with that name|no tool named\b|NoSuchTool)"
)
NAME = r"['\"`]?([A-Za-z_][\w.-]{0,79})['\"`]?"
NAMED_TOOL = re.compile(
    rf"(?i)(?:unknown tool(?: name)?:? |(?:unavailable |no such )tool:? |'tool_name': |"
    rf"requested (?:function|tool) |\btool ){NAME}"
)
# Errors of runtimes about the arguments of a call. A validation error counts where it is about the
# tool or its arguments: tools raise others of their own.
ARGUMENTS_REFUSED = re.compile(
    r"(?i)argument parsing failed|invalid (?:tool )?(?:input|arguments?) for (?:tool|function)\b"
    r"|(?:tool input|argument|arguments|input parameters?|parameters?) validation (?:failed|error)"
    r"|validation failed for (?:input )?(?:parameters|arguments)|InvalidToolInput|"
    r"\barg(?:ument)? ['\"`]?\w{1,60}['\"`]? (?:is invalid|has type\b)"
    r"|parameter ['\"`]?\w{1,60}['\"`]? is expected to be\b"
    r"|(?:failed to parse|error while decoding|could not parse) (?:the )?(?:tool|function) arguments"
    r"|error invoking tool .{1,200}? with (?:kwargs|arguments)"
)
# Python's own words for a call that does not fit a function.
WRONG_CALL = re.compile(
    r"\b(\w{1,90})\(\) (?:missing \d+ required|got an unexpected keyword|takes \d+ positional)"
)
VALIDATION = re.compile(r"(?i)\bvalidation errors? for ([\w.]{1,90})")


def asks_for_last_answer(text: str) -> bool:
    """Whether a message asks a model to answer with what it has, because the limit is reached."""
    end = text[-SEARCHED:]
    return holds_any(LAST_ANSWER_WORDS, end.lower()) and LAST_ANSWER.search(end) is not None


def step_limit_in(text: str, *, in_output: bool = False) -> bool:
    """Whether an error, or an output, says that the run reached a limit of its steps."""
    searched = text[:SEARCHED]
    if not holds_any(LIMIT_WORDS, searched.lower()):
        return False
    named = not in_output and LIMIT_NAME.search(searched) is not None
    return named or LIMIT_REACHED.search(searched) is not None


def says_no_such_tool(text: str) -> bool:
    """Whether a runtime says that it has no tool of the name that was called."""
    return NO_SUCH_TOOL.search(text[:BEGINNING]) is not None


def tool_named_in(text: str) -> str | None:
    """The tool that such an answer names."""
    found = NAMED_TOOL.search(text[:SEARCHED])
    return found.group(1) if found else None


def refuses_arguments(text: str, tool: str) -> bool:
    """Whether a runtime says that the arguments of a call of ``tool`` are not what it takes."""
    searched = text[:SEARCHED]
    if ARGUMENTS_REFUSED.search(searched):
        return True
    function = WRONG_CALL.search(searched)
    if function and function.group(1) == tool:
        return True
    about = VALIDATION.search(searched)
    return about is not None and about.group(1).lower().startswith(tool.lower())
