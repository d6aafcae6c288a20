"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

SEVERITIES = ["critical", "high", "medium", "low"]


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several option decorators as one, shown in this order."""

    def apply(command: F) -> F:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


def key_values(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """``key=value`` arguments as a dict."""
    pairs = [value.partition("=") for value in values]
    if any(not separator or not key for key, separator, _ in pairs):
        raise click.BadParameter("write it as KEY=VALUE.")
    return {key: value for key, _, value in pairs}


common = options(
    click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the runs [.halo].",
    ),
    click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Configuration file [halo.toml, where it exists].",
    ),
    click.option("--debug", is_flag=True, help="Show the whole traceback of an error."),
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")

platform = options(
    click.option("--profile", metavar="NAME", help="Settings of this profile in halo.toml."),
    click.option("--project", help="Project to read, by name or id."),
    click.option("--base-url", help="Address of the platform."),
    click.option("--timeout", type=float, help="Seconds that one answer may take."),
)

filters = options(
    click.option(
        "--since", metavar="WHEN", help="Traces from then on: 24h, 7d, an ISO time, or `last`."
    ),
    click.option("--until", metavar="WHEN", help="Traces before then: an age or an ISO time."),
    click.option(
        "--limit", type=click.IntRange(1), metavar="N", help="The N newest traces, whole."
    ),
    click.option(
        "--sample", type=click.IntRange(1), metavar="N", help="N traces at random, whole."
    ),
    click.option("--seed", default=0, metavar="S", help="Another seed, another sample [0]."),
    click.option("--errors-only", is_flag=True, help="Only traces in which a span failed."),
    click.option(
        "--environment",
        "environments",
        multiple=True,
        metavar="NAME",
        help="Only traces of this environment (repeatable).",
    ),
    click.option(
        "--trace-name",
        "names",
        multiple=True,
        metavar="NAME",
        help="Only traces of this name (repeatable).",
    ),
    click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="TAG",
        help="Only traces with this tag (repeatable: with all of them).",
    ),
    click.option("--session", "session_id", metavar="ID", help="Only traces of this session."),
    click.option("--user", "user_id", metavar="ID", help="Only traces of this user."),
    click.option("--release", metavar="NAME", help="Only traces of this release."),
    click.option(
        "--app-version", "version", metavar="NAME", help="Only traces of this version of the app."
    ),
    click.option(
        "--trace", "trace_ids", multiple=True, metavar="ID", help="Only this trace (repeatable)."
    ),
    click.option(
        "--metadata",
        multiple=True,
        callback=key_values,
        metavar="KEY=VALUE",
        help="Only traces with this span attribute (repeatable).",
    ),
    click.option("--fresh", is_flag=True, help="Do not go on with a pull that was cut off."),
)

follow_ups = options(
    click.option("--comment", is_flag=True, help="Also comment on each affected trace."),
    click.option("--queue", metavar="NAME", help="Also put affected traces into a review queue."),
    click.option("--dataset", metavar="NAME", help="Also collect their inputs in a dataset."),
)

model = options(
    click.option("--model", metavar="NAME", help="Also let this model look: provider/name."),
    click.option("--sub-model", metavar="NAME", help="A cheaper model to read traces [--model]."),
    click.option("--model-url", metavar="URL", help="A server of your own (OpenAI's protocol)."),
    click.option("--no-llm", is_flag=True, help="Use no model, whatever the settings say."),
    click.option("--budget", type=float, metavar="USD", help="What the model may cost [5]."),
    click.option("--token-budget", type=int, metavar="N", help="Tokens that it may use."),
    click.option("--price", metavar="IN,OUT", help="USD for a million tokens, where unknown."),
    click.option("--max-turns", type=int, metavar="N", help="Turns of the model [40]."),
    click.option(
        "--sandbox", type=click.Choice(["monty", "bubblewrap"]), help="Where its code runs [monty]."
    ),
    click.option(
        "--trace-to",
        type=click.Choice(["phoenix"]),
        help="Send the spans of this analysis there, to a project of their own.",
    ),
    click.option("--question", metavar="TEXT", help="What you want to know above all."),
    click.option(
        "--context",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE",
        help="What the agent is for, and what counts as success.",
    ),
    click.option(
        "--code",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="FOLDER",
        help="The agent's source code, to look up causes in (read-only).",
    ),
    click.option("--root-causes", is_flag=True, help="Also mark where each failed trace broke."),
    click.option("--estimate", is_flag=True, help="Say what the model would cost, and end."),
)

fail_on = click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    help="Exit with 1 when there is a finding at least this severe.",
)

writing = options(
    click.option("--yes", "-y", is_flag=True, help="Write without asking."),
    click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing."),
)
