"""What a model is asked with: the forms of its answers, and streaming, until its provider refuses.

Answers with room for ``STREAMED_TOKENS`` or more are streamed: a proxy may cut a connection on which
nothing comes for a minute, and some providers refuse to write long answers otherwise. A provider that
refuses a form, or streaming (or its absence), is asked without (or with) it from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable

from halo_engine.errors import ModelFailed, RequestRefused
from halo_engine.llm.chat import AnswerForm, AnswerFormKind, Completion

STREAMED_TOKENS = 8000

# Sends one request, in a form or without, streamed or not.
Send = Callable[[AnswerForm | None, bool], Completion]
OnDropped = Callable[[str], None]


def ignore_dropped(_: str) -> None:
    """Tell nobody."""


def answer_seconds(timeout: float, room: int, is_streamed: bool) -> float:
    """The seconds for an answer with ``room`` tokens; ``timeout`` is for ``STREAMED_TOKENS``."""
    return timeout * max(1.0, room / STREAMED_TOKENS) if is_streamed else timeout


class Negotiation:
    """The forms and the streaming of the model ``name``.

    ``forms`` are those that it has. With ``on_trial`` that is not known: each is tried, and calls are
    requested no more after an answer to such a request that makes none. ``on_dropped`` gets a
    sentence about each form that is no longer requested.
    """

    def __init__(
        self,
        name: str,
        forms: Iterable[AnswerFormKind],
        *,
        on_trial: bool,
        on_dropped: OnDropped = ignore_dropped,
    ) -> None:
        self._name = name
        self._forms = frozenset(forms)
        self._on_trial = self._forms if on_trial else frozenset()
        self._on_dropped = on_dropped
        self._always_streams: bool | None = None
        self._lock = threading.Lock()

    @property
    def forms(self) -> Collection[AnswerFormKind]:
        """The forms that are requested."""
        return self._forms

    @property
    def description(self) -> str:
        """The forms that are requested, for people."""
        names = (
            f"{kind} (tried)" if kind in self._on_trial else kind.value
            for kind in AnswerFormKind
            if kind in self._forms
        )
        return " and ".join(names) or "plain text"

    def answer(self, send: Send, form: AnswerForm | None, room: int) -> Completion:
        """The answer to a request in ``form`` with ``room`` tokens; raises what ``send`` raises."""
        if form is None or form.kind not in self._forms:
            return self._sent(send, None, room)
        try:
            answer = self._sent(send, form, room)
        except RequestRefused as error:
            answer = self._sent(send, None, room)
            self._drop(form.kind, str(error))
            return answer
        if form.kind in self._on_trial:
            self._judge_trial(form.kind, answer)
        return answer

    def _sent(self, send: Send, form: AnswerForm | None, room: int) -> Completion:
        """The answer, streamed or not; the other way where the provider refuses the one."""
        streams = self._always_streams
        is_streamed = room >= STREAMED_TOKENS if streams is None else streams
        try:
            return send(form, is_streamed)
        except ModelFailed as error:
            if not isinstance(error, RequestRefused) or "stream" not in str(error):
                raise
            answer = send(form, not is_streamed)
            self._always_streams = not is_streamed
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


def features_text(negotiation: Negotiation, *others: str | None) -> str:
    """What is used of a model: its forms, streaming, and ``others``."""
    streaming = f"answers of {STREAMED_TOKENS:,} tokens or more streamed"
    return ", ".join(text for text in (negotiation.description, streaming, *others) if text)
