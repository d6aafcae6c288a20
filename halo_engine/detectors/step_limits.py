"""How a run shows that it reached a limit of its steps, though nothing failed."""

from __future__ import annotations

from halo_engine.detectors.error_kinds import asks_for_last_answer, step_limit_in
from halo_engine.detectors.finish_reasons import Finish, finish_of
from halo_engine.detectors.tool_runs import TextRef
from halo_engine.detectors.trace_views import TraceViews
from halo_engine.schema import Span

# The attribute in which smolagents names the steps that a run may take, and DSPy's loop of tools.
ALLOWED_STEPS = "smolagents.max_steps"
REACT = "ReAct.forward"
LAST_WORDS = 300  # characters at the end of an output in which a limit is told


def told_step_limit(index: TraceViews, top: Span) -> TextRef | None:
    """The text in which a run says that it reached a limit of its steps, though nothing failed."""
    if told := request_for_a_last_answer(index) or all_steps_used(index, top):
        return told
    for span in (top, *index.agent_spans):
        if finish_of(span) is Finish.STEP_LIMIT:
            return TextRef(span, "finish_reason", span.finish_reason)
        if span.output and step_limit_in(span.output.strip()[-LAST_WORDS:], in_output=True):
            return TextRef(span, "output", span.output)
    return None


def all_steps_used(index: TraceViews, top: Span) -> TextRef | None:
    """What shows that an agent made all its steps and did not call the tool that ends a run.

    In smolagents that is ``final_answer``, in DSPy's ReAct ``finish``; both make the model answer
    when the steps are used up, and record no more of it.
    """
    tools = {run.tool for run in index.tool_runs}
    for span in (top, *index.agent_spans):
        allowed = span.attributes.get(ALLOWED_STEPS)
        if isinstance(allowed, int) and "final_answer" not in tools:
            steps = sum(map(is_step, index.trace.children.get(span.span_id, ())))
            if steps >= allowed > 0:
                return TextRef(span, f"attributes.{ALLOWED_STEPS}", str(allowed))
        if span.name == REACT and tools and "finish" not in tools:
            return TextRef(span, "name", span.name)
    return None


def is_step(span: Span) -> bool:
    """Whether a span is a step of smolagents."""
    return (span.name or "").startswith("Step ")


def request_for_a_last_answer(index: TraceViews) -> TextRef | None:
    """The message of a framework by which the model must answer now, since the limit is reached."""
    span = index.last_call
    given = list(enumerate(span.input_messages)) if span else []
    last = next(((n, m.content) for n, m in reversed(given) if m.content), None)
    if span is None or last is None or not asks_for_last_answer(last[1]):
        return None
    return TextRef(span, f"input_messages.{last[0]}.content", last[1])
