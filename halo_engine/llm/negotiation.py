"""What a model is asked with: the forms of its answers, and streaming, until its provider refuses.

Answers with room for ``STREAMED_TOKENS`` or more are streamed: a proxy may cut a connection on which
nothing comes for a minute, and some providers refuse to write long answers otherwise. A provider that
refuses a form, or streaming (or its absence), is asked without (or with) it from then on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable

from halo_engine.errors import ModelBusy, ModelFailed, RequestRefused
from halo_engine.llm.chat import AnswerForm, AnswerFormKind, AnswerStatus, Completion

STREAMED_TOKENS = 8000

# Efforts of reasoning, and the room in tokens that an answer needs with each: the hidden reasoning
# counts towards it, and the budgets that litellm sets for it have to be smaller.
EFFORT_ROOM = {
    "none": 0,
    "minimal": 2000,
    "low": 4000,
    "medium": 8000,
    "high": 16_000,
    "xhigh": 32_000,
}

STREAMING = {
    None: f"answers of {STREAMED_TOKENS:,} tokens or more streamed",
    True: "answers streamed",
    False: "no answer streamed",
}

# What a provider says that takes no streams, or nothing else.
STREAM = re.compile(r"\bstream")

# Sends one request, in a form or without, streamed or not.
Send = Callable[[AnswerForm | None, bool], Completion]
OnDropped = Callable[[str], None]


def ignore_dropped(_: str) -> None:
    """Tell nobody."""


def seconds_for(timeout: float, room: int, is_streamed: bool) -> float:
    """The seconds for an answer with ``room`` tokens; ``timeout`` is for ``STREAMED_TOKENS``."""
    return timeout * max(1.0, room / STREAMED_TOKENS) if is_streamed else timeout


class Negotiation:
    """The forms and the streaming of the model ``name``.

    ``forms`` are those that it has. With ``on_trial`` that is not known: each is tried, and calls are
    requested no more after an answer to such a request that makes none. ``streams`` is None where
    the length of the answer decides. ``on_dropped`` gets a sentence about each form that is no longer
    requested.
    """

    def __init__(
        self,
        name: str,
        forms: Iterable[AnswerFormKind],
        *,
        on_trial: bool,
        streams: bool | None = None,
        on_dropped: OnDropped = ignore_dropped,
    ) -> None:
        self._name = name
        self._forms = frozenset(forms)
        self._on_trial = self._forms if on_trial else frozenset()
        self._on_dropped = on_dropped
        self._streams = streams
        self._lock = threading.Lock()

    @property
    def forms(self) -> Collection[AnswerFormKind]:
        """The forms that are requested."""
        return self._forms

    @property
    def description(self) -> str:
        """The forms that are requested, and which answers are streamed, for people."""
        names = (
            f"{kind} (tried)" if kind in self._on_trial else kind.value
            for kind in AnswerFormKind
            if kind in self._forms
        )
        return f"{' and '.join(names) or 'plain text'}, {STREAMING[self._streams]}"

    def answer(self, send: Send, form: AnswerForm | None, room: int) -> Completion:
        """The answer to a request in ``form`` with ``room`` tokens; raises what ``send`` raises."""
        if form is None or form.kind not in self._forms:
            return self._sent(send, None, room)
        try:
            answer = self._sent(send, form, room)
        except (RequestRefused, ModelBusy) as error:
            if not self._may_be_the_form(form.kind, error):
                raise
            answer = self._sent(send, None, room)
            self._drop(form.kind, str(error))
            return answer
        if form.kind in self._on_trial and answer.status is AnswerStatus.WHOLE:
            self._judge_trial(form.kind, answer)
        return answer

    def _may_be_the_form(self, kind: AnswerFormKind, error: ModelFailed) -> bool:
        """Whether a request may have failed for its form: some servers answer 500 to one on trial."""
        if isinstance(error, ModelBusy):
            is_plain = error.retry_after is None and not error.maybe_billed
            return is_plain and kind in self._on_trial
        return True

    def _sent(self, send: Send, form: AnswerForm | None, room: int) -> Completion:
        """The answer, streamed or not; the other way where the provider refuses the one."""
        is_streamed = room >= STREAMED_TOKENS if self._streams is None else self._streams
        try:
            return send(form, is_streamed)
        except RequestRefused as error:
            if not STREAM.search(str(error)):
                raise
            answer = send(form, not is_streamed)
            self._streams = not is_streamed
            return answer

    def _judge_trial(self, kind: AnswerFormKind, answer: Completion) -> None:
        if kind is AnswerFormKind.CALL and not answer.calls:
            self._drop(kind, "its first answer made no call")
        self._on_trial -= {kind}

    def _drop(self, kind: AnswerFormKind, why: str) -> None:
        with self._lock:
            is_first = kind in self._forms
            self._forms -= {kind}
        if is_first:
            self._on_dropped(f"{self._name} is asked without {kind} from here on: {why}")
