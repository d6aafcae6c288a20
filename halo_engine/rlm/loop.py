"""The loop: the model writes code, the code runs, what it printed goes back to the model.

It ends when the code calls ``finish``, or when turns, budget or retry_timeout are at an end; the model
is told before the last turn. What was submitted until then is the result, whatever the ending.
After every turn all of it is in the ledger, and a run that is cut off goes on behind its last turn.
"""

from __future__ import annotations

import orjson

from halo_engine.errors import BudgetExhausted, ModelFailed, PromptTooLong, SandboxLost
from halo_engine.failure_modes import MEANINGS
from halo_engine.llm import ChatModel, ModelClient, system, user
from halo_engine.llm.budget import Spent
from halo_engine.llm.chat import TokenUsage, most_tokens
from halo_engine.llm.client import spent_of
from halo_engine.rlm.answers import code_of
from halo_engine.rlm.candidates import IMPACTS, MODES
from halo_engine.rlm.conversation import Conversation
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.events import AnalysisEventKind, OnEvent, analysis_event, ignore_event
from halo_engine.rlm.host import Host, Notebook
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.sandbox.base import ExecutionResult, Sandbox
from halo_engine.schema import FrozenModel

TURN_TOKENS = 4000
# About as long is an answer of so many tokens.
ANSWER_BYTES = 4 * TURN_TOKENS
REPLY_CHARS = 12_000
# Share of what may be used from which on the model is told to close.
CLOSING = 0.85
MAX_IDLE_TURNS = 5

NO_CODE = (
    "There was no block of code in your answer, so nothing ran. Write one:\n```python\n...\n```\n"
    "To end, call finish(summary) in it."
)
SAME = "This is the same code as before, with the same result. Do something else, or finish()."
CUT_OFF = "The session was cut off here: variables are lost. Notes and findings are kept."
LAST = (
    "This is your LAST turn: {why}. Submit now what is proven and not yet submitted, and call "
    "finish(summary), all in one block of code."
)


class State(FrozenModel):
    """Where the loop is; ``idle`` counts turns in a row that brought nothing.

    ``has_failed`` tells an ending by a fault, after which it can go on, from one that was meant.
    """

    context: Conversation
    notebook: Notebook = Notebook()
    turn: int = 0
    idle: int = 0
    closing: bool = False
    ending: str | None = None
    has_failed: bool = False


class Loop:
    """One analysis. ``question`` and ``background`` are the user's own words to the model."""

    def __init__(
        self,
        host: Host,
        sandbox: Sandbox,
        calls: ModelClient,
        model: ChatModel,
        frame: DataDelimiter,
        *,
        question: str | None = None,
        background: str | None = None,
        on_event: OnEvent = ignore_event,
    ) -> None:
        self._host = host
        self._sandbox = sandbox
        self._calls = calls
        self._model = model
        self._frame = frame
        self._on_event = on_event
        self._functions = host.functions()
        self._turns = calls.budget.limits.turns
        self.state = State(context=self._opening(question, background))

    def run(self) -> State:
        """Go on until the end."""
        self._resume()
        while self.state.ending is None:
            try:
                self._turn()
            except BudgetExhausted as error:
                self._end(f"the budget is spent: {error}")
            except (ModelFailed, SandboxLost) as error:
                self._end(str(error), has_failed=True)
        return self.state

    def _turn(self) -> None:
        """One answer of the model, and what its code does."""
        self._compact_if_full()
        turn = self.state.turn + 1
        self._host.is_last_step = self.state.closing
        answer = self._answer()
        self._on_event(analysis_event(AnalysisEventKind.ANSWERED, turn, text=answer))
        code = code_of(answer)
        step = self._sandbox.run(code, self._functions) if code else None
        if step:
            self._on_event(
                analysis_event(
                    AnalysisEventKind.RAN, turn, code=code, output=step.output, error=step.error
                )
            )
        self._tell_of_new_findings(turn)
        self._next(turn, answer, step)
        self._save()

    def _answer(self) -> str:
        """What the model says to everything so far."""
        try:
            return self._asked()
        except PromptTooLong:
            if not self.state.context.old:
                raise
            self._compact()
            return self._asked()

    def _asked(self) -> str:
        messages = self.state.context.messages(self.state.notebook)
        return self._calls.ask(self._model, "root", messages, max_tokens=TURN_TOKENS).text

    def _next(self, turn: int, answer: str, step: ExecutionResult | None) -> None:
        """Where that leaves us: one turn more, or the end."""
        before, notebook = self.state, self._host.notebook
        repeated = any(t.answer == answer for t in before.context.turns[-2:])
        useless = step is None or repeated or step.error is not None
        idle = before.idle + 1 if useless and notebook.results == before.notebook.results else 0
        said, reply = answer or "(nothing)", self._reply(step, repeated)
        why = self._why_last(turn, idle, before.context.with_turn(said, reply))
        if why and not before.closing:
            reply = f"{reply}\n\n{LAST.format(why=why)}"
        self.state = State(
            context=before.context.with_turn(said, reply),
            notebook=notebook,
            turn=turn,
            idle=idle,
            closing=bool(why),
            ending=self._ending(notebook, why if before.closing else None),
        )
        if self.state.ending:
            self._end(self.state.ending)

    def _why_last(self, turn: int, idle: int, context: Conversation) -> str | None:
        """Why the next turn is the last one, if it is."""
        if self.state.closing:
            return self._reason(turn, idle, context) or "it was announced"
        return self._reason(turn, idle, context)

    def _reason(self, turn: int, idle: int, context: Conversation) -> str | None:
        if idle >= MAX_IDLE_TURNS:
            return f"{idle} turns in a row brought nothing"
        if turn >= self._turns - 1:
            return f"{self._turns} turns are over"
        if self._calls.budget.used() >= CLOSING or not self._fits_two(context):
            return "the budget is nearly spent"
        return None

    def _fits_two(self, context: Conversation) -> bool:
        """Whether the budget is likely to hold for the next turn and a last one behind it."""
        size = most_tokens(context.messages(self._host.notebook))
        sizes = (size, size + ANSWER_BYTES + REPLY_CHARS)
        usages = [TokenUsage(prompt=prompt, completion=TURN_TOKENS) for prompt in sizes]
        both = sum((spent_of(self._model, usage) for usage in usages), Spent())
        return self._calls.budget.fits(both)

    @staticmethod
    def _ending(notebook: Notebook, why: str | None) -> str | None:
        return "finished" if notebook.is_finished else why

    def _reply(self, step: ExecutionResult | None, repeated: bool) -> str:
        """What the model gets back."""
        if step is None:
            return NO_CODE
        shown = step.output or ("" if step.error else "(it ran and printed nothing)")
        if step.error:
            shown = f"{shown}\nError:\n{step.error}"
        shown = "\n".join([*self._host.remarks(), shown.strip()])
        framed = self._frame(shown, REPLY_CHARS)
        return f"{framed}\n{SAME}" if repeated else framed

    # -- memory ----------------------------------------------------------------------------------

    def _compact_if_full(self) -> None:
        if self.state.context.is_full(self.state.notebook, self._model.window):
            self._compact()

    def _compact(self) -> None:
        """Put the old turns into few words; a model that cannot is left with what is pinned."""
        context = self.state.context
        said = "\n\n".join(f"{turn.answer}\n{turn.reply}" for turn in context.old)
        text = "\n\n".join(part for part in (context.memory, said) if part)
        limit = self._model.window
        messages = [
            system(filled(prompt("compact"), rule=self._frame.rule)),
            user(self._frame(text[-limit:], limit)),
        ]
        try:
            memory = self._calls.ask(self._model, "root", messages, max_tokens=1500).text
        except ModelFailed as error:
            memory = f"(older turns are lost: {error})"
        shortened = context.shortened(f"Your older turns in short:\n{memory}")
        self.state = self.state.model_copy(update={"context": shortened})
        self._on_event(analysis_event(AnalysisEventKind.COMPACTED, self.state.turn, memory=memory))

    # -- going on --------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Go on behind the last turn that is in the ledger."""
        saved = self._calls.ledger.last_step()
        if saved is None:
            self._on_event(analysis_event(AnalysisEventKind.STARTED, model=self._model.name))
            return
        _, state, session = saved
        self.state = State.model_validate_json(state)
        if self.state.has_failed:
            again = {"ending": None, "has_failed": False}
            self.state = self.state.model_copy(update=again)
        self._host.notebook = self.state.notebook
        if self.state.ending is None:
            self._restore(session)

    def _restore(self, session: bytes | None) -> None:
        """Give the sandbox its variables back, or tell the model that they are lost."""
        if session is not None:
            self._sandbox.load(session)
        elif self.state.turn:
            context = self.state.context.with_turn("(interrupted)", CUT_OFF)
            self.state = self.state.model_copy(update={"context": context})

    def _save(self) -> None:
        self._calls.ledger.save_step(
            self.state.turn, self.state.model_dump_json(), self._sandbox.dump()
        )

    def _end(self, why: str, *, has_failed: bool = False) -> None:
        """Note why it ended; what is in the notebook stands."""
        update = {"ending": why, "has_failed": has_failed, "notebook": self._host.notebook}
        self.state = self.state.model_copy(update=update)
        self._save()
        self._on_event(analysis_event(AnalysisEventKind.ENDED, self.state.turn, why=why))

    def _tell_of_new_findings(self, turn: int) -> None:
        known = {c.id for c in self.state.notebook.candidates}
        for candidate in self._host.notebook.candidates:
            if candidate.id not in known:
                self._on_event(
                    analysis_event(
                        AnalysisEventKind.SUBMITTED, turn, id=candidate.id, title=candidate.title
                    )
                )

    def _opening(self, question: str | None, background: str | None) -> Conversation:
        """The instruction, and the metadata of the store: never a trace."""
        modes = "\n".join(f"{slug}: {MEANINGS[slug]}" for slug in MODES)
        impacts = "; ".join(f'"{impact}" ({meaning})' for impact, meaning in IMPACTS.items())
        manual = filled(prompt("manual"), modes=modes, impacts=impacts)
        analyst = filled(prompt("analyst"), rule=self._frame.rule, turns=str(self._turns))
        data = {
            "overview": self._functions["overview"](),
            "signals": self._functions["signals"](),
            "budget": self._functions["budget"](),
        }
        parts = [
            f"The question: {question}" if question else "",
            f"About the agent, from its owner:\n{background}" if background else "",
            f"What is in the store:\n{self._frame(compact_json(data), REPLY_CHARS)}",
        ]
        opening = "\n\n".join(part for part in parts if part)
        if self._host.code:
            manual = f"{manual}\n\n{prompt('code')}"
        return Conversation(system=f"{analyst}\n\n{manual}", opening=opening)


def compact_json(value: object) -> str:
    """``value`` as JSON on as few characters as it takes."""
    return orjson.dumps(value, default=str).decode()
