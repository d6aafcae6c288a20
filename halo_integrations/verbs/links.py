"""Links: where the platform shows the marks of a known issue."""

from __future__ import annotations

from halo_adapters.base import ANNOTATION_PREFIX, Annotator, Links
from halo_engine.errors import ConfigError
from halo_engine.issues import Issue
from halo_integrations.context import Context
from halo_integrations.options.keywords import issue_verb
from halo_integrations.options.run import CommonOptions
from halo_integrations.report_annotations import signature_of
from halo_integrations.state.run import Run
from halo_integrations.verbs.issues import issues_of


@issue_verb(CommonOptions)
def issue_link(issue_id: str, options: CommonOptions) -> str:
    """The address of the platform's page that lists the marks of an issue.

    Where the platform cannot filter by the text of an annotation, all marks of its failure mode and
    severity. Raises ``ConfigError`` where there is no such page: for traces from files, for a
    platform without one, and where the run that last found the issue is gone.
    """
    issue = issues_of(options).get(issue_id)
    run = Context(options).run(issue.run_id)
    finding = issue.finding
    name = f"{ANNOTATION_PREFIX}{finding.failure_mode}"
    url = links_of(issue, run, options).marks_url(
        name, finding.severity.value, signature_of(f"{issue.id},")
    )
    if url is None:
        raise ConfigError(
            f"{run.record.source} has no page that lists marks. `halo-integrations report {run.id}` "
            f"has links to the traces of {issue.id}."
        )
    return url


def links_of(issue: Issue, run: Run, options: CommonOptions) -> Links:
    """The platform's addresses: those that ``run`` keeps, or else those of now."""
    kept = run.record.links
    if kept and kept.marks:
        return kept
    source = Context(options).source_of(run)
    if not isinstance(source, Annotator):
        raise ConfigError(
            f"The traces of {issue.id} were read from {run.record.source}, which takes no marks, so "
            f"there is no page that lists them. `halo-integrations brief {issue.id}` quotes them."
        )
    return source.links()
