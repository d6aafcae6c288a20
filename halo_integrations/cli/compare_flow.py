"""What `compare` does."""

from __future__ import annotations

from halo_engine.report.registry import load_comparison_renderer
from halo_integrations.cli.comparison_view import show_comparison
from halo_integrations.cli.exits import FOUND, PARTIAL, most_important
from halo_integrations.cli.flows import Flow
from halo_integrations.cli.output import RenderedOutput
from halo_integrations.options.declaration import subset
from halo_integrations.options.run import CommonOptions
from halo_integrations.verbs.compare import compare, comparison_info


class CompareFlow(Flow):
    """A comparison with the options that were given to it."""

    def compare(self, base: str, head: str, output: RenderedOutput) -> int:
        """Compare two sides."""
        output.require_possible()
        with self._progress:
            compared = compare(base, head, **self._options)
        info = comparison_info(base, head, **subset(self._options, CommonOptions))

        def render(name: str) -> bytes:
            return load_comparison_renderer(name)(compared, info)

        output.write(render)
        if output.printed:
            self._terminal.content(render(output.printed), output.printed)
        else:
            show_comparison(self._terminal, compared)
        self._terminal.failures(compared.failures)
        limit = self._options.get("fail_on_change")
        reasons = [FOUND] if limit and compared.reasons_to_fail(limit) else []
        return most_important([*reasons, *([PARTIAL] if compared.failures else [])])
