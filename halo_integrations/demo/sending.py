"""Runs the demo's conversations, exports their spans to Phoenix, and waits for their arrival."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

from openinference.instrumentation import OITracer, TraceConfig, TracerProvider
from openinference.semconv.resource import ResourceAttributes
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from halo_adapters.phoenix.client import PAGE, PhoenixClient
from halo_adapters.phoenix.settings import PhoenixSettings
from halo_engine.errors import NotFound, Unavailable
from halo_integrations.demo.agent import AGENT_NAME, SECOND, Agent
from halo_integrations.demo.plan import Planned, plan
from halo_integrations.demo.truth import Planted, truth_of
from halo_integrations.options.callbacks import OnProgress, Progress, no_progress

DEFAULT_COUNT = 300
QUEUE_SPANS = 1_000_000
EXPORT_SECONDS = 60
ARRIVAL_SECONDS = 180
ARRIVAL_PAUSE = 0.5


class SeededIds(IdGenerator):
    """Trace and span ids that are the same for the same seed."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def generate_trace_id(self) -> int:
        """128 bits, not all zero."""
        return self.random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        """64 bits, not all zero."""
        return self.random.getrandbits(64) or 1


class SpanCount(SpanProcessor):
    """Counts the ended spans of each trace, to compare with what the server shows."""

    def __init__(self) -> None:
        self.of_trace: Counter[str] = Counter()

    def on_end(self, span: ReadableSpan) -> None:
        """Count the span."""
        self.of_trace[f"{span.context.trace_id:032x}"] += 1


def run_conversations(
    endpoint: str,
    project: str,
    count: int = DEFAULT_COUNT,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> Planted:
    """Run ``count`` conversations, and send the traces to ``project`` at ``endpoint``.

    Returns what was planted, once the server shows every span. The same seed and project give the
    same conversations with the same ids. Raises ``ConfigError`` when ``count`` is too small for
    every fault, and ``Unavailable`` when spans are still missing after three minutes.
    """
    planned = plan(count, seed)
    random = Random(f"{project}/{seed}")  # noqa: S311 (ids and times for a demo)
    counter = SpanCount()
    exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=EXPORT_SECONDS)
    with tracing(exporter, project, counter, random) as tracer:
        trace_ids = play(planned, Agent(tracer, random), on_progress)
    wait_until_arrived(endpoint, project, counter.of_trace, on_progress)
    return truth_of(planned, trace_ids, spans=counter.of_trace.total())


@contextmanager
def tracing(
    exporter: SpanExporter,
    project: str,
    counter: SpanCount,
    random: Random,
    *,
    version: str | None = None,
) -> Iterator[OITracer]:
    """A tracer whose spans have all been exported to ``project`` at the end of the block.

    ``version`` is that of the agent, where it has one.

    It ignores the user's environment variables, which configure other agents.
    """
    attributes = {ResourceAttributes.PROJECT_NAME: project, "service.name": AGENT_NAME}
    if version:
        attributes["service.version"] = version
    provider = TracerProvider(
        resource=Resource(attributes),
        id_generator=SeededIds(random),
        config=TraceConfig(hide_inputs=False, hide_outputs=False),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(counter)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS))
    try:
        yield provider.get_tracer(__name__)
    finally:
        provider.shutdown()


def play(planned: Sequence[Planned], agent: Agent, on_progress: OnProgress) -> list[str]:
    """Run the conversations in order; returns their trace ids."""
    now = time.time_ns()
    trace_ids = []
    for done, one in enumerate(planned, start=1):
        start = now - int(one.conversation.age * SECOND)
        trace_ids.append(agent.answer(one.conversation, start))
        on_progress(Progress(step="Running", done=done, total=len(planned), unit="conversations"))
    return trace_ids


def wait_until_arrived(
    endpoint: str,
    project: str,
    expected: Counter[str],
    on_progress: OnProgress = no_progress,
    seconds: float = ARRIVAL_SECONDS,
) -> None:
    """Return when the server shows every span: it stores them some time after they were sent.

    ``expected`` counts them by trace id. Raises ``Unavailable`` when some are still missing after
    ``seconds``.
    """
    api = PhoenixClient(PhoenixSettings(base_url=endpoint))
    waiting = Retrying(
        retry=retry_if_result(bool),
        wait=wait_fixed(ARRIVAL_PAUSE),
        stop=stop_after_delay(seconds),
    )
    total = expected.total()

    def missing_spans() -> int:
        missing = (expected - arrived(api, project)).total()
        on_progress(Progress(step="Arriving", done=total - missing, total=total, unit="spans"))
        return missing

    try:
        waiting(missing_spans)
    except RetryError as error:
        raise Unavailable(
            f"{error.last_attempt.result()} of {total} spans had not arrived in project "
            f"{project!r} at {endpoint} after {seconds:.0f} seconds. The server is too busy, "
            f"or refuses them: look into its log, and try again.",
            platform="phoenix",
        ) from error


def arrived(api: PhoenixClient, project: str) -> Counter[str]:
    """How many spans of each trace the server shows; none while the project is not there yet."""
    try:
        found = api.project(project)
    except NotFound:
        return Counter()
    with_spans = {"limit": PAGE, "include_spans": True}
    pages = api.paged(f"/v1/projects/{found.id}/traces", with_spans)
    return Counter({t["trace_id"]: len(t["spans"]) for page in pages for t in page.rows})
