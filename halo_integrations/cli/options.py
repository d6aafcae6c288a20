"""The options of each command, made from the declarations in ``halo_integrations.options``."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel

from halo_engine.report.registry import COMPARISONS, REPORTS, renderer_names
from halo_integrations.options.declaration import OptionSpec, options_of
from halo_integrations.options.run import (
    AnalyzeOptions,
    CommonOptions,
    CompareOptions,
    DecisionOptions,
    ExportOptions,
    FollowUpOptions,
    IssuesOptions,
    MuteOptions,
    PlatformOptions,
    ProjectOptions,
    PullOptions,
    ReadOptions,
    RunSettings,
    WatchOptions,
)
from halo_integrations.options.selection import age_of
from halo_integrations.work_orders.files import CodingAgent


def options_of_command(name: str) -> list[click.Parameter]:
    """The options of the command called ``name``, in the order in which its help shows them."""
    groups: dict[str, list[list[click.Parameter]]] = {
        "run": [platform(), filters(), writing(), follow_ups(), model(), *judging(), json()],
        "pull": [platform(), filters(), destination(), json()],
        "analyze": [model(), *judging(), json()],
        "annotate": [writing(), follow_ups(), json()],
        "undo": [undoing(), json()],
        "report": [written(REPORTS, "md"), indexing()],
        "doctor": [platform(), json()],
        "config": [platform(), json()],
        "compare": [
            declared(CompareOptions, without=CommonOptions),
            working(),
            comparison_files(),
            json(),
        ],
        "brief": [briefing(), declared(ProjectOptions, without=CommonOptions), json()],
        "export check": [exporting()],
        "open": [[flag("--browser", help="Also open it in the browser.")], json()],
        "mcp": [serving()],
        "watch": [platform(), criteria(), watch_flags(), *judging(), json()],
        "issues list": [declared(IssuesOptions, without=CommonOptions), json()],
        "issues mute": [declared(MuteOptions, without=CommonOptions), json()],
        "issues accept": [declared(DecisionOptions, without=CommonOptions), json()],
        "issues reopen": [declared(DecisionOptions, without=CommonOptions), json()],
    }
    return [option for group in [*groups.get(name, [json()]), common()] for option in group]


def platform() -> list[click.Parameter]:
    """How to reach a platform."""
    return declared(PlatformOptions, without=CommonOptions)


def filters() -> list[click.Parameter]:
    """Which traces to read."""
    return declared(ReadOptions, without=PlatformOptions)


def destination() -> list[click.Parameter]:
    """Where a pull writes, what works on it, and whether it tells what took how long."""
    to = declared(PullOptions, without=ReadOptions)
    return [*to, *working(), *declared(RunSettings, "timings")]


def criteria() -> list[click.Parameter]:
    """Which of the new traces to read."""
    return declared(WatchOptions, without=PlatformOptions)


def watch_flags() -> list[click.Parameter]:
    """Whether to write, and how often to look."""
    help = "Look again and again, so long after the begin of the pass before (15m), until Ctrl-C."
    return [
        flag("--yes", "-y", help="Write what is found."),
        click.Option(["--every"], callback=age_option, metavar="AGE", help=help),
        *declared(RunSettings, "mark_recording_gaps"),
    ]


def writing() -> list[click.Parameter]:
    """Whether to write."""
    dry_run = "Show what would be written, and write nothing."
    return [
        flag("--yes", "-y", help="Write without asking."),
        flag("--dry-run", help=dry_run),
        *declared(RunSettings, "mark_recording_gaps"),
    ]


def undoing() -> list[click.Parameter]:
    """Whether to remove."""
    status = "Only tell how far the platform is with the deletions of an earlier undo."
    return [flag("--yes", "-y", help="Do not ask."), flag("--status", help=status)]


def follow_ups() -> list[click.Parameter]:
    """What to create besides annotations."""
    return declared(FollowUpOptions)


def model() -> list[click.Parameter]:
    """The analysis by a model."""
    estimate = flag("--estimate", help="Print what the model would cost, and end.")
    return [*declared(AnalyzeOptions, without=CommonOptions), estimate]


def judging() -> list[list[click.Parameter]]:
    """When to fail, and what looks for failures."""
    return [declared(RunSettings, "fail_on"), working(), declared(RunSettings, "timings")]


def working() -> list[click.Parameter]:
    """What works on many traces."""
    return declared(RunSettings, "workers", "executor", "ray_address", "memory")


def exporting() -> list[click.Parameter]:
    """The form of an exported check, and where to write it."""
    path = click.Path(path_type=Path)
    (form,) = declared(ExportOptions, without=CommonOptions)
    form.required = True
    help = "File to write [standard output]."
    return [form, click.Option(["--out"], type=path, metavar="FILE", help=help)]


def briefing() -> list[click.Parameter]:
    """Which briefs, and where to write them."""
    all_open = "A brief for each open issue, with an index that says in which order; needs --out."
    out = "Folder to write into: the brief, and the inputs of affected traces beside it."
    agent = "Also write a prompt that leads to it, where this coding agent looks below this folder."
    agents = click.Choice([each.value for each in CodingAgent])
    return [
        flag("--all", help=all_open),
        click.Option(["--out"], type=click.Path(path_type=Path), metavar="FOLDER", help=out),
        click.Option(["--for", "agent"], type=agents, help=agent),
    ]


def serving() -> list[click.Parameter]:
    """What a server may do, and whose issues it lists."""
    help = "Offer the tools that write to the platform and decide about issues, after a preview."
    return [flag("--allow-write", help=help), *declared(ProjectOptions, without=CommonOptions)]


def json() -> list[click.Parameter]:
    """The form of the output."""
    return [click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON.")]


def written(group: str, usual: str) -> list[click.Parameter]:
    """Where a report or comparison goes, and in which of the installed formats of ``group``.

    ``usual`` is what is printed where none is named.
    """
    formats, path = click.Choice(renderer_names(group)), click.Path(path_type=Path)
    help = f"Format to print [{usual}], or of the files of --out [by their ending]."
    out = "Write it to FILE (repeatable)."
    return [
        click.Option(["--format", "renderer"], type=formats, help=help),
        click.Option(["--out"], type=path, multiple=True, metavar="FILE", help=out),
    ]


def comparison_files() -> list[click.Parameter]:
    """Where a comparison goes."""
    summary = "Extend the summary of the job in GitHub Actions, in Markdown."
    return [*written(COMPARISONS, "a table"), flag("--summary", help=summary)]


def indexing() -> list[click.Parameter]:
    """The list of runs."""
    help = "Write index.html into the home instead: the runs, with links to their reports."
    return [flag("--index", help=help)]


def common() -> list[click.Parameter]:
    """What every command takes."""
    debug = flag("--debug", help="Show the whole traceback of an error.")
    return [*declared(CommonOptions), debug]


def flag(*names: str, help: str) -> click.Option:
    """A switch of the command line, which is no option of a verb."""
    return click.Option(list(names), is_flag=True, help=help)


def declared(
    model: type[BaseModel], *names: str, without: type[BaseModel] | None = None
) -> list[click.Parameter]:
    """The options that ``model`` declares for the command line.

    Only those called ``names`` where any are given, and none that ``without`` declares. One that is
    not given on the command line is None.
    """
    left_out = without.model_fields if without else {}
    wanted = names or [name for name in model.model_fields if name not in left_out]
    return [click_option(s) for s in options_of(model) if s.flags and s.name in wanted]


def click_option(spec: OptionSpec) -> click.Option:
    """One declared option as a click option."""
    return click.Option(
        [*spec.flags, spec.name],
        default=None,
        metavar=spec.metavar,
        help=spec.info.description,
        **click_type(spec),
    )


def click_type(spec: OptionSpec) -> dict[str, Any]:
    """The click parameters that follow from the type of an option."""
    kind = without_none(spec.info.annotation)
    origin = get_origin(kind)
    if spec.reads_file:
        return {"type": click.File("r", encoding="utf-8"), "callback": read_text_option}
    if kind is bool:
        return {"is_flag": True}
    if origin is Sequence or get_origin(kind) is tuple:
        return {"multiple": True}
    if origin is Mapping:
        return {"multiple": True, "callback": key_values}
    if origin is Literal:
        return {"type": click.Choice(get_args(kind))}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"type": click.Choice([member.value for member in kind])}
    if kind is Path:
        return {"type": click.Path(path_type=Path, exists=True, file_okay=False)}
    if kind is int and any(getattr(m, "gt", None) == 0 for m in spec.info.metadata):
        return {"type": click.IntRange(1)}
    return {"type": kind if kind in (int, float) else str}


def without_none(annotation: Any) -> Any:
    """``X`` out of ``X | None``; ``str`` where there are several alternatives."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 else str


def age_option(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> timedelta | None:
    """How long ``text`` is, such as 15m."""
    age = text and age_of(text)
    if text and not age:
        raise click.BadParameter(f"{text!r} is not as long as 90s, 15m or 1h.")
    return age or None


def read_text_option(_context: click.Context, _parameter: click.Parameter, file: Any) -> str | None:
    """The text of a file that was given as an option."""
    if file is None:
        return None
    try:
        text: str = file.read()
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{file.name} is not UTF-8 text: {error}.") from error
    return text


def key_values(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """``KEY=VALUE`` arguments as a dict."""
    pairs = [value.partition("=") for value in values]
    if any(not separator or not key for key, separator, _ in pairs):
        raise click.BadParameter("write it as KEY=VALUE.")
    return {key: value for key, _, value in pairs}
