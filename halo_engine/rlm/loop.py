"""The loop of the root model: it writes code, the code is executed, the output is the reply.

The loop ends when the code calls ``finish``, when turns or budget are used up, or after several
turns in a row without a result; the model is warned before its last turn. Submitted findings are
kept however the loop ends, by an error of this package too. The state is in the ledger after every
turn, and an interrupted loop resumes after the last stored one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from halo_engine.errors import (
    AnswerCut,
    AnswerWithheld,
    BudgetExhausted,
    ConfigError,
    ModelFailed,
    PromptTooLong,
    SandboxLost,
)
from halo_engine.findings import AnalysisEnding
from halo_engine.llm import ChatModel, Completion, Limits, ModelClient, Spend, system, user
from halo_engine.llm.chat import TokenUsage, max_prompt_tokens
from halo_engine.llm.client import spend_of
from halo_engine.llm.ledger import Checkpoint
from halo_engine.rlm.answer_forms import CODE_CALL
from halo_engine.rlm.answers import parse_code, text_with_calls
from halo_engine.rlm.conversation import Conversation
from halo_engine.rlm.delimiter import DataDelimiter
from halo_engine.rlm.events import AnalysisEventKind, EventLog, one_line_error
from halo_engine.rlm.host import Host, Notebook
from halo_engine.rlm.prompts import filled, prompt
from halo_engine.rlm.reopening import has_more_budget, is_reopened
from halo_engine.rlm.sandbox.base import ExecutionResult, Sandbox
from halo_engine.rlm.variables import assigned_names, listing_code
from halo_engine.schema import FrozenModel

# The room of an answer; one that is cut is requested again with more by the client.
TURN_TOKENS = 4000
LIKELY_TURN_TOKENS = 1000
MEMORY_TOKENS = 1500
BYTES_PER_TOKEN = 4
REPLY_CHARS = 10_000
# Used share of the budget at which the last turn is announced.
CLOSING_SHARE = 0.85
MAX_IDLE_TURNS = 5
# When turns or budget become few, each reply says so.
ANNOUNCED_TURNS = 4
ANNOUNCED_SHARE = 0.6

NO_CODE = (
    "There was no block of code in your answer, so nothing ran. Write one:\n```python\n...\n```\n"
    "To end, call finish(summary) in it."
)
CUT = (
    "Your answer was cut off at {max_tokens} tokens, reasoning included, so nothing ran. That is the "
    "most there is: think less, and write one short block of code. Do the work in several turns."
)
WITHHELD = (
    "Your answer was withheld, so nothing ran: {error} Look at something else, and quote nothing "
    "that a content filter may stop at."
)
SAME = "This is the same code as before, with the same result. Do something else, or finish()."
INTERNAL_ERROR = "an error inside halo-integrations ended it: {}"
INTERRUPTED = "The session was cut off here: variables are lost. Notes and findings are kept."
SOON_OVER = (
    "{turns} more turns are sure, and {used} of the budget for turns is used: submit what is proven "
    "now."
)
LAST = (
    "This is your LAST turn: {why}. Submit now what is proven and not yet submitted, and call "
    "finish(summary), all in one block of code."
)

MEND = (
    "The code of your last turn failed, so this is one more, to mend it: the lines before the error "
    "have run. Nothing follows."
)


class Stop(NamedTuple):
    """Why the loop stops: an ending, and its explanation for people (and for the model)."""

    ending: AnalysisEnding
    detail: str

    @property
    def is_lack(self) -> bool:
        """Whether budget or turns are lacking."""
        return self.ending in (AnalysisEnding.BUDGET_EXHAUSTED, AnalysisEnding.TURN_LIMIT)


class RootAnswer(NamedTuple):
    """An answer of the root model, or what stands for one that cannot be executed.

    For that one, ``error`` says why to people, and ``reply`` to the model. ``origin`` is the answer
    of which ``text`` shows the calls as blocks of code.
    """

    text: str
    error: str | None = None
    reply: str | None = None
    origin: Completion | None = None


class LoopState(FrozenModel):
    """The state of the loop after ``turn``, which was taken within ``limits``.

    ``used_before`` is the share of them that was used before the loop began.

    ``idle`` counts successive turns without a result; ``closing`` means that the next turn is, or was
    announced as the last one, for lack of budget if it ``is_out_of_budget``; it ``is_mending`` where
    one more is given because the code of the last failed. ``printed`` is what the last code printed,
    of which a reply shows a part, ``names`` are those that code has assigned so far.
    """

    conversation: Conversation
    notebook: Notebook = Notebook()
    limits: Limits = Limits()
    used_before: float = 0.0
    turn: int = 0
    idle: int = 0
    closing: bool = False
    is_mending: bool = False
    is_out_of_budget: bool = False
    ending: AnalysisEnding | None = None
    ending_detail: str = ""
    printed: str = ""
    names: tuple[str, ...] = ()


def stored_state(checkpoint: Checkpoint) -> LoopState:
    """The state in ``checkpoint``; raises ``ConfigError`` for one of an incompatible version."""
    try:
        return LoopState.model_validate_json(checkpoint.state)
    except ValidationError as error:
        raise ConfigError(
            "The stored analysis of this run was written by another version and cannot be resumed: "
            "pull the traces into a run of their own. The report is unchanged."
        ) from error


class Loop:
    """One exploration of the traces by ``model``, which executes code in ``sandbox``.

    It begins with ``opening``. Its limits, calls and checkpoints are those of the part of the
    analysis that ``client`` is for.
    """

    def __init__(
        self,
        host: Host,
        sandbox: Sandbox,
        client: ModelClient,
        model: ChatModel,
        delimiter: DataDelimiter,
        opening: Conversation,
        *,
        log: EventLog | None = None,
    ) -> None:
        self._host = host
        self._sandbox = sandbox
        self._client = client
        self._model = model
        self._delimiter = delimiter
        self._log = log or EventLog()
        self._limits = client.budget.limits
        self.state = LoopState(
            conversation=opening,
            notebook=host.notebook,
            limits=self._limits,
            used_before=client.budget.used(),
            closing=self._limits.turns == 1,
        )

    def run(self) -> LoopState:
        """Take steps until one of them, or an error, ends the loop; returns the final state."""
        self._resume()
        while self.state.ending is None:
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 - what was found so far is reported
                self._abort(self._stop_after(error))
        return self.state

    def step(self) -> None:
        """One turn: query the model, execute its code, record the reply."""
        turn = self.state.turn + 1
        answer = self.query()
        self._emit(AnalysisEventKind.ANSWERED, turn, text=answer.text)
        result = self.execute(answer, turn)
        self.record(answer, result, turn)

    def query(self) -> RootAnswer:
        """The model's answer to the conversation, which is compacted if it is too long."""
        state, window = self.state, self._model.window
        if state.conversation.is_full(state.notebook, self._delimiter, window):
            self._compact()
        try:
            return self._complete()
        except PromptTooLong:
            if not self.state.conversation.old_turns:
                raise
            self._compact()
            return self._complete()

    def execute(self, answer: RootAnswer, turn: int) -> ExecutionResult | None:
        """Run the code in ``answer`` in the sandbox; None if there is none that is whole."""
        code = None if answer.error else parse_code(answer.text)
        if code is None:
            return None
        self._host.begin_step(is_last=self.state.closing)
        result = self._sandbox.run(code, self._host.functions)
        self._host.keep_output(result.printed)
        self._emit(AnalysisEventKind.RAN, turn, code=code, output=result.output, error=result.error)
        self._emit_submissions(turn)
        return result

    def record(self, answer: RootAnswer, result: ExecutionResult | None, turn: int) -> None:
        """Reply to the model, decide whether the loop stops, and store the new state."""
        before, notebook = self.state, self._host.notebook
        is_repeated = any(t.answer == answer.text for t in before.conversation.turns[-2:])
        is_useless = result is None or is_repeated or result.error is not None
        has_results = notebook.results != before.notebook.results
        idle = before.idle + 1 if is_useless and not has_results else 0

        shown = answer.text or "(nothing)"
        reply = answer.reply or self._reply(result, is_repeated)
        conversation = before.conversation.with_turn(shown, reply, answer.origin)
        limit = self._last_turn_reason(turn, idle, conversation, answer.error)
        if limit and not before.closing:
            reply = f"{reply}\n\n{LAST.format(why=limit.detail)}"
        elif not limit and (left := self._announcement(turn, conversation)):
            reply = f"{reply}\n\n{left}"
        stop = self._stop(limit, notebook)
        is_mending = bool(stop and stop.is_lack and self._can_mend(result, conversation))
        if is_mending:
            reply, stop = f"{reply}\n\n{MEND}", None

        self.state = LoopState(
            conversation=before.conversation.with_turn(shown, reply, answer.origin),
            notebook=notebook,
            limits=self._limits,
            used_before=before.used_before,
            turn=turn,
            idle=idle,
            closing=limit is not None,
            is_mending=is_mending,
            is_out_of_budget=limit is not None and limit.ending is AnalysisEnding.BUDGET_EXHAUSTED,
            ending=stop and stop.ending,
            ending_detail=stop.detail if stop else "",
            printed=result.printed if result else before.printed,
            names=tuple(dict.fromkeys((*before.names, *assigned_names(parse_code(shown) or "")))),
        )
        self._save()

    def _stop(self, limit: Stop | None, notebook: Notebook) -> Stop | None:
        """Why the loop stops after a turn, if it does; ``limit`` is why at most one may follow.

        A model that was told to finish for lack of budget or turns has not finished by itself.
        """
        last = limit if self.state.closing else None
        if notebook.is_finished and (last is None or not last.is_lack):
            return Stop(AnalysisEnding.FINISHED, "finished")
        return last

    def _can_mend(self, result: ExecutionResult | None, conversation: Conversation) -> bool:
        """Whether code that failed in the last turn gets one more: most of its work may be lost."""
        if result is None or result.error is None or self.state.is_mending:
            return False
        is_within = self.state.turn + 1 < self._limits.turns
        return is_within and self._fits_turns(1, conversation)

    def _announcement(self, turn: int, conversation: Conversation) -> str | None:
        """What is left, when that is little: the last turn should surprise nobody."""
        used = self._used()
        turns = self._limits.turns - turn
        if not self._fits_turns(3, conversation):
            turns = min(turns, 2)
        if turns > ANNOUNCED_TURNS and used < ANNOUNCED_SHARE:
            return None
        return SOON_OVER.format(turns=turns, used=f"{used / CLOSING_SHARE:.0%}")

    def _last_turn_reason(
        self, turn: int, idle: int, conversation: Conversation, error: str | None
    ) -> Stop | None:
        """Why at most one turn may follow ``turn``; None if more may.

        If ``turn`` itself was announced as the last one, there is always a reason. ``error`` is why
        its answer could not be executed, if there is such a reason.
        """
        if idle >= MAX_IDLE_TURNS:
            last = f" (the last one: {error})" if error else ""
            return Stop(AnalysisEnding.IDLE, f"{idle} turns in a row brought nothing{last}")
        if turn >= self._limits.turns - 1:
            return Stop(AnalysisEnding.TURN_LIMIT, f"{self._limits.turns} turns are over")
        is_nearly_used = self._used() >= CLOSING_SHARE
        # Replies are shortened now and then, after which more turns would fit again.
        is_announced = self.state.closing and self.state.is_out_of_budget
        # One turn, and the last one after it.
        if is_announced or is_nearly_used or not self._fits_turns(2, conversation):
            return Stop(AnalysisEnding.BUDGET_EXHAUSTED, "the budget is nearly spent")
        if self.state.closing:
            return Stop(AnalysisEnding.LAST_TURN, "the announced last turn is over")
        return None

    def _used(self) -> float:
        """The used share, 0 to 1, of what the loop had when it began."""
        before = self.state.used_before
        return (self._client.budget.used() - before) / (1 - before) if before < 1 else 1.0

    def _fits_turns(self, number: int, conversation: Conversation) -> bool:
        """Whether the budget probably suffices for the next ``number`` of turns."""
        size = max_prompt_tokens(conversation.messages(self._host.notebook, self._delimiter))
        prompts = [size + n * (BYTES_PER_TOKEN * TURN_TOKENS + REPLY_CHARS) for n in range(number)]
        room = self._client.room(self._model, TURN_TOKENS)
        maximum = self._spend_of_turns(prompts, room)
        likely = self._spend_of_turns([p // BYTES_PER_TOKEN for p in prompts], LIKELY_TURN_TOKENS)
        return self._client.budget.fits_likely(maximum, likely)

    def _spend_of_turns(self, prompts: Sequence[int], completion: int) -> Spend:
        """The spend of turns with ``prompts`` of so many tokens, answered with ``completion``."""
        usages = (TokenUsage(prompt=prompt, completion=completion) for prompt in prompts)
        return sum((spend_of(self._model, usage) for usage in usages), Spend())

    def _reply(self, result: ExecutionResult | None, is_repeated: bool) -> str:
        """The reply to an answer: warnings, output and error of its code, delimited as data."""
        if result is None:
            return NO_CODE
        output = result.output or ("" if result.error else "(it ran and printed nothing)")
        if result.error:
            output = f"{output}\nError:\n{result.error}"
        shown = "\n".join([*self._host.take_warnings(), output.strip()])
        delimited = self._delimiter(shown, REPLY_CHARS)
        return f"{delimited}\n{SAME}" if is_repeated else delimited

    # -- the model -------------------------------------------------------------------------------

    def _complete(self) -> RootAnswer:
        messages = self.state.conversation.messages(self.state.notebook, self._delimiter)
        try:
            answer = self._client.complete(
                self._model, "root", messages, max_tokens=TURN_TOKENS, form=CODE_CALL
            )
        except AnswerCut as error:
            return RootAnswer("(cut off)", str(error), CUT.format(max_tokens=error.max_tokens))
        except AnswerWithheld as error:
            return RootAnswer("(withheld)", str(error), WITHHELD.format(error=error))
        return RootAnswer(text_with_calls(answer), origin=answer if answer.calls else None)

    def _compact(self) -> None:
        """Have the model summarise the old turns; without a summary only the notebook is left."""
        conversation = self.state.conversation
        turns = "\n\n".join(f"{turn.answer}\n{turn.reply}" for turn in conversation.old_turns)
        text = "\n\n".join(part for part in (conversation.memory, turns) if part)
        limit = self._model.window
        messages = [
            system(filled(prompt("compact"), rule=self._delimiter.instruction)),
            user(self._delimiter(text[-limit:], limit)),
        ]
        try:
            memory = self._client.complete(
                self._model, "root", messages, max_tokens=MEMORY_TOKENS
            ).text
        except AnswerCut as error:
            memory = f"{error.text}\n(cut off)"
        except ModelFailed as error:
            memory = f"(older turns are lost: {error})"
        compacted = conversation.compacted(f"{memory}{self._variables()}")
        self.state = self.state.model_copy(update={"conversation": compacted})
        self._emit(AnalysisEventKind.COMPACTED, self.state.turn, memory=memory)

    def _variables(self) -> str:
        """The variables of the session with their types and sizes."""
        code = listing_code(self.state.names)
        listed = self._sandbox.run(code, {}).output.strip() if code else ""
        return f"\n\nVariables of the session:\n{listed}" if listed else ""

    # -- checkpoints and events ------------------------------------------------------------------

    def _resume(self) -> None:
        """Continue from the latest checkpoint, if there is one; a failure is tried again.

        The opening, which says what is left of the budget, is stored before the first call: the same
        call is then found in the ledger.
        """
        checkpoint = self._client.ledger.last_checkpoint(self._client.part_name)
        if checkpoint is None:
            self._emit(AnalysisEventKind.STARTED, 0, model=self._model.name)
            self._save()
            return
        self.state = state = self._continued(stored_state(checkpoint))
        self._host.restore(state.notebook, state.printed)
        if state.ending is None:
            self._restore_session(checkpoint.session)

    def _continued(self, state: LoopState) -> LoopState:
        """``state`` within the limits of today; without its ending, if it is to be continued."""
        now = self._limits
        if state.ending and not is_reopened(state.ending, state.limits, now):
            return state
        # Of larger limits, what was used before is a smaller share.
        used_before = min(state.used_before, self._client.budget.used())
        changes: dict[str, Any] = {"limits": now, "used_before": used_before}
        if state.ending or has_more_budget(state.limits, now) or now.turns > state.limits.turns:
            changes |= {"ending": None, "ending_detail": "", "closing": False, "idle": 0}
            changes["notebook"] = state.notebook.model_copy(update={"summary": None})
        return state.model_copy(update=changes)

    def _restore_session(self, session: bytes | None) -> None:
        """Restore the variables of the sandbox, or report their loss in an additional turn."""
        is_lost = session is None and self.state.turn > 0
        try:
            if session is not None:
                self._sandbox.load(session)
        except SandboxLost:
            is_lost = True
        if is_lost:
            conversation = self.state.conversation.with_turn("(interrupted)", INTERRUPTED)
            self.state = self.state.model_copy(update={"conversation": conversation})

    def _stop_after(self, error: Exception) -> Stop:
        """The ending by ``error``; one that nobody expected is recorded with its traceback."""
        if isinstance(error, BudgetExhausted):
            return Stop(AnalysisEnding.BUDGET_EXHAUSTED, f"the budget is spent: {error}")
        if isinstance(error, ModelFailed):
            return Stop(AnalysisEnding.MODEL_FAILED, str(error))
        if isinstance(error, SandboxLost):
            return Stop(AnalysisEnding.SANDBOX_LOST, str(error))
        self._log.record_error(f"turn {self.state.turn + 1}", error)
        return Stop(AnalysisEnding.INTERNAL_ERROR, INTERNAL_ERROR.format(one_line_error(error)))

    def _abort(self, stop: Stop) -> None:
        """End the loop within a turn, keeping what its code has submitted.

        Where the state cannot be stored, the next analysis continues from the one before.
        """
        self.state = self.state.model_copy(
            update={
                "ending": stop.ending,
                "ending_detail": stop.detail,
                "limits": self._limits,
                "notebook": self._host.notebook,
            }
        )
        try:
            self._save()
        except Exception as error:  # noqa: BLE001 - what was found so far is reported
            self._log.record_error("storing the state", error)

    def _save(self) -> None:
        """Store the state; report the ending if there is one."""
        state = self.state
        self._client.ledger.save_checkpoint(
            Checkpoint(state.turn, state.model_dump_json(), self._sandbox.dump()),
            self._client.part_name,
        )
        if state.ending:
            self._emit(AnalysisEventKind.ENDED, state.turn, why=state.ending_detail)

    def _emit(self, kind: AnalysisEventKind, turn: int, **data: Any) -> None:
        self._log.emit(kind, turn, **data)

    def _emit_submissions(self, turn: int) -> None:
        """Report the candidates that the code of this turn has submitted."""
        known = {c.id for c in self.state.notebook.candidates}
        for candidate in self._host.notebook.candidates:
            if candidate.id not in known:
                self._emit(
                    AnalysisEventKind.SUBMITTED, turn, id=candidate.id, title=candidate.title
                )
