"""The host side of a sandbox session: all host functions, their warnings and their results."""

from __future__ import annotations

from collections.abc import Sequence

from halo_engine.rlm.candidates import Candidate
from halo_engine.rlm.host.amendments import Amendments
from halo_engine.rlm.host.arguments import checked
from halo_engine.rlm.host.ask import Ask
from halo_engine.rlm.host.compare import Compare
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.host.delegate import Delegate, Investigate
from halo_engine.rlm.host.explore import Explore
from halo_engine.rlm.host.instructions import InstructionsShown
from halo_engine.rlm.host.query import Query
from halo_engine.rlm.host.read import Read
from halo_engine.rlm.host.results import Notebook, Results
from halo_engine.rlm.host.signals import SignalsListed
from halo_engine.rlm.host.source_code import SourceCode
from halo_engine.rlm.host.trials import Trials
from halo_engine.rlm.sandbox.base import HostFunctions
from halo_engine.source import SourceFiles


class Host:
    """The host functions over ``context``, and over the agent's source ``code`` if given.

    The ``drafts`` are findings from the beginning. With ``investigate`` the code can give out
    investigations. An error in a function is shown to the model, and is a failure in the notebook
    and in the log.
    """

    def __init__(
        self,
        context: HostContext,
        code: SourceFiles | None = None,
        investigate: Investigate | None = None,
        drafts: Sequence[Candidate] = (),
    ) -> None:
        self._context = context
        trials = Trials(context)
        self._results = Results(context, trials, code, drafts)
        self._read = Read(context)
        self.has_code = code is not None
        self.can_delegate = investigate is not None
        # Error messages list the functions in this order.
        groups = (
            *(Explore(context), self._read, Query(context), SignalsListed(context)),
            *(Compare(context), InstructionsShown(context), Ask(context)),
            *(trials, self._results, Amendments(context, self._results, code)),
        )
        functions = [function for group in groups for function in group.functions()]
        if investigate:
            functions += Delegate(context, self._results, investigate).functions()
        functions += SourceCode(code).functions() if code else ()
        self.functions: HostFunctions = {
            function.__name__: checked(function, self._record_error) for function in functions
        }

    @property
    def notebook(self) -> Notebook:
        """The results so far."""
        return self._results.notebook

    def restore(self, notebook: Notebook, printed: str) -> None:
        """Continue with the results of an earlier process, and what its last step ``printed``."""
        self._results.notebook = notebook
        self.keep_output(printed)

    def keep_output(self, printed: str) -> None:
        """Keep what a step printed, for ``last_output``."""
        self._read.last_printed = printed

    def begin_step(self, *, is_last: bool) -> None:
        """Prepare for the code of one step; ``is_last`` if no step follows it."""
        self._results.begin_step(is_last=is_last)

    def take_warnings(self) -> list[str]:
        """Return and clear the warnings about calls whose results the code may not have checked."""
        warnings, self._context.warnings = self._context.warnings, []
        return warnings

    def _record_error(self, name: str, error: Exception) -> None:
        self._results.add_failure(self._context.log.record_error(f"{name}()", error))
