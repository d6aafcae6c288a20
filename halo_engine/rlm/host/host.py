"""The host side of a sandbox session: all host functions, their warnings and their results."""

from __future__ import annotations

from halo_engine.rlm.host.arguments import with_checked_arguments
from halo_engine.rlm.host.ask import Ask
from halo_engine.rlm.host.context import HostContext
from halo_engine.rlm.host.explore import Explore
from halo_engine.rlm.host.query import Query
from halo_engine.rlm.host.read import Read
from halo_engine.rlm.host.results import Notebook, Results
from halo_engine.rlm.sandbox.base import HostFunctions
from halo_engine.rlm.source_code import SourceCode


class Host:
    """The host functions over ``context``, and over the agent's source ``code`` if given."""

    def __init__(self, context: HostContext, code: SourceCode | None = None) -> None:
        self._context = context
        self._results = Results(context)
        self.has_code = code is not None
        # Error messages list the functions in this order.
        groups = (
            *(Explore(context), Read(context), Query(context), Ask(context)),
            self._results,
        )
        functions = [function for group in groups for function in group.functions()]
        functions += code.functions() if code else ()
        self.functions: HostFunctions = {
            function.__name__: with_checked_arguments(function) for function in functions
        }

    @property
    def notebook(self) -> Notebook:
        """The results so far."""
        return self._results.notebook

    def restore(self, notebook: Notebook) -> None:
        """Continue with the results of an earlier process."""
        self._results.notebook = notebook

    def begin_step(self, *, is_last: bool) -> None:
        """Prepare for the code of one step; ``is_last`` if no step follows it."""
        self._results.begin_step(is_last=is_last)

    def take_warnings(self) -> list[str]:
        """Return and clear the warnings about calls whose results the code may not have checked."""
        warnings, self._context.warnings = self._context.warnings, []
        return warnings
