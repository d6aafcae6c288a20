"""The commands: parse, hand over to a flow, and give the exit code.

Nothing heavy is imported here, so that ``--help`` answers at once: the options of a command, which
need their declarations, are made when that command is parsed or its help is shown.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from halo_engine.memory import seek_cycles_seldom, spare_memory
from halo_integrations.cli.declared import DeclaredCommand
from halo_integrations.cli.exits import INTERRUPTED, MEANINGS, OK, PARTIAL, USAGE
from halo_integrations.cli.issue_commands import brief, export, issues, open_marks
from halo_integrations.cli.streams import lost_output, open_streams
from halo_integrations.version import __version__

if TYPE_CHECKING:
    from halo_integrations.cli.flows import Flow

EPILOG = "\b\nExit codes, the first that applies of 1, 4, 3:\n" + "\n".join(
    f"  {code:<3}  {meaning}" for code, meaning in MEANINGS.items()
)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="halo-integrations")
def commands() -> None:
    """Find the failure modes that recur across the traces of your agents, each proven with quotes,
    and write them back onto the very traces and spans.

    \b
    halo-integrations run PLATFORM --project shop --since 24h
    halo-integrations run traces.jsonl
    halo-integrations undo last
    """


command = commands.command(cls=DeclaredCommand)


@command
@click.argument("source")
def run(source: str, **options: Any) -> int:
    """Pull, analyse, and write the findings back.

    SOURCE is a platform ({platforms}) or a path: a file or folder of exported traces in any of many
    forms, `-` for standard input, or a lake (`pull --to`): a folder or s3://BUCKET/PREFIX. A path is
    analysed only.
    """
    return flow(options).run(source)


@command
@click.argument("source")
def pull(source: str, **options: Any) -> int:
    """Read traces into a run folder, or a lake, and nothing more. SOURCE as for `run`."""
    return flow(options).pull(source)


@command
@click.argument("run_id", metavar="RUN")
def analyze(run_id: str, **options: Any) -> int:
    """Analyse the traces of RUN (`last`: the newest) again, or resume an interrupted analysis.

    A model call with the same content is not made, and not paid for, again.
    """
    return flow(options).analyze(run_id)


@command
@click.argument("run_id", metavar="RUN")
def annotate(run_id: str, **options: Any) -> int:
    """Write the findings of RUN (`last`: the newest) onto its traces and spans."""
    return flow(options).annotate(run_id)


@command
@click.argument("run_id", metavar="RUN")
def undo(run_id: str, **options: Any) -> int:
    """Remove exactly what RUN (`last`: the newest) wrote, and restore the previous values."""
    return flow(options).undo(run_id)


@command
@click.argument("run_id", metavar="RUN", default="last")
def report(
    run_id: str, renderer: str | None, out: tuple[Path, ...], index: bool, **options: Any
) -> int:
    """Print the report of RUN [last], or write it into files."""
    from halo_engine.report.registry import REPORTS
    from halo_integrations.cli.output import RenderedOutput

    if index and (renderer or out):
        raise click.UsageError("--index writes its own file: give it without --format and --out.")
    if index:
        return flow(options).index()
    return flow(options).report(run_id, RenderedOutput(REPORTS, renderer, out))


@command
def runs(**options: Any) -> int:
    """List the runs, newest first."""
    return flow(options).runs()


@command
@click.argument("source", required=False)
def doctor(source: str | None, **options: Any) -> int:
    """Check what a run needs, and print how to fix what is missing.

    SOURCE is a platform ({platforms}), or a path. Without it: the platform that works without any
    setting.
    """
    from halo_integrations.cli.settings_flow import SettingsFlow

    return SettingsFlow(options).doctor(source)


@command
@click.argument("source", required=False)
def config(source: str | None, **options: Any) -> int:
    """Show every setting and where it came from.

    SOURCE is a platform ({platforms}). Default: the first that works without any setting.
    """
    from halo_integrations.cli.settings_flow import SettingsFlow

    return SettingsFlow(options).config(source)


@command
@click.argument("source")
def watch(source: str, **options: Any) -> int:
    """Look at what is new since the last pass, without exploring: made for cron.

    Detectors and the rules of known issues are applied, and the issues are updated: what is new,
    worse, resolved, or back after that. SOURCE as for `run`. A pass that was interrupted goes on.
    One process at a time watches a project.
    """
    from halo_integrations.cli.watch_flow import WatchFlow

    return WatchFlow(options).watch(source)


@command
@click.argument("base")
@click.argument("head")
def compare(
    base: str,
    head: str,
    renderer: str | None,
    out: tuple[Path, ...],
    summary: bool,
    **options: Any,
) -> int:
    """Compare the traces of HEAD with those of BASE: what is new, worse, better or gone.

    \b
    Each is a run (`last`, or an id of `runs`), or traces of one:
      release=1.4   version=2   environment=prod   tag=beta   experiment=NAME
      since=7d      until=1d    metadata.NAME=VALUE
    several with commas, after `RUN:` for another run than the newest.

    Detectors and the rules of known issues are applied to both sides; a difference is told with its
    interval, by a test that allows for their number.
    """
    from halo_engine.report.registry import COMPARISONS
    from halo_integrations.cli.compare_flow import CompareFlow
    from halo_integrations.cli.output import RenderedOutput

    if renderer and options["as_json"]:
        raise click.UsageError("Give --format or --json, not both.")
    return CompareFlow(options).compare(
        base, head, RenderedOutput(COMPARISONS, renderer, out, summary)
    )


for known_issues in (issues, export, open_marks, brief):
    commands.add_command(known_issues)


@command
def mcp(allow_write: bool, debug: bool, **options: Any) -> int:
    """Serve this home to coding agents over MCP: traces, findings, known issues.

    Runs on standard input and output, until the client closes it: a client of the Model Context
    Protocol starts it. Needs the extra `mcp`.
    """
    from halo_integrations.cli.serving import serve_home

    return serve_home(allow_write=allow_write, **options)


@command
def detectors(**options: Any) -> int:
    """List the detectors with the settings that the configuration file gives them."""
    return flow(options).detectors()


@commands.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=4318,
    show_default=True,
    metavar="PORT",
    help="Port to listen on; 0 for any that is free.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on. Any other than this machine's own lets others send, unencrypted and "
    "without a password.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="traces.jsonl",
    show_default=True,
    metavar="FILE",
    help="File to append to, one export a line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def collect(debug: bool, **options: Any) -> int:
    """Receive traces over OTLP/HTTP into a file, for agents without a platform.

    Takes spans, and log records that are events of spans, in protobuf or JSON, from any
    instrumentation, until Ctrl-C. `halo-integrations run FILE` then analyses the file.

    FILE is readable by you only. What is there already is kept: exports are appended to it, and
    each is on disk before it is acknowledged. They are written as they were sent, secrets too:
    those are masked when the file is analysed. Remove the file when you need it no more.
    """
    from halo_integrations.cli.collect import receive

    return receive(**options)


@commands.command()
@click.option(
    "--count",
    type=click.IntRange(1),
    metavar="N",
    help="Number of conversations [300; with --loop 600 a release].",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the conversations.")
@click.option(
    "--loop",
    is_flag=True,
    help="Two releases of the agent instead, compared with each other; needs no server.",
)
@click.option("--exit", "leave", is_flag=True, help="End at once instead of at Ctrl-C.")
@click.option("--no-llm", is_flag=True, help="Use no model, even where there is a key.")
@click.option("--budget", default=0.5, show_default=True, metavar="USD", help="For the model.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def demo(debug: bool, **options: Any) -> int:
    """See it work: an agent with planted faults, on a server of its own.

    No key and no model are needed. Where a model is set (HALO_MODEL), or a provider's key is in the
    environment, it is used too, within the budget. The first time the server is installed into an
    environment of its own (about 850 MB).

    With --loop the agent is run in release A and in release B, in which some faults are fixed, some
    worse and one is new: what `compare` and `issues` say stands beside what is true. Ends with 1, as
    `compare --fail-on regression` does.
    """
    from halo_integrations.demo.command import demo as play

    return play(**options)


@commands.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="PORT",
    help="Port to listen on [any that is free].",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Folder of the runs [.halo].",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file [halo.toml, where it exists].",
)
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def ui(debug: bool, **options: Any) -> int:
    """Look at projects, runs, issues and comparisons in the browser, and decide about them.

    Serves the home on this machine only, to whoever has the link that is printed. Nothing is written
    to a platform but what you confirm on a page that shows it first. Ctrl-C ends the server.
    """
    from halo_integrations.ui.server import serve_pages

    return serve_pages(**{name: value for name, value in options.items() if value is not None})


def flow(options: dict[str, Any]) -> Flow:
    """The flow of a command with the options that were given."""
    from halo_integrations.cli.flows import Flow

    return Flow(options)


RESUMING = (
    "What was read and written so far is on disk. To resume: a pull or an undo by the same command, "
    "an analysis by `halo-integrations analyze last` and its options, a write by "
    "`halo-integrations annotate last`."
)

OUT_OF_MEMORY = (
    "There is not enough memory for this. Free some, or allow the process more; --workers 1 and a "
    "smaller share of the traces (--limit, --sample) need less."
)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    seek_cycles_seldom()
    spare_memory()
    open_streams()
    words = sys.argv[1:] if arguments is None else arguments
    code = exit_code_of(words)
    lost = lost_output()
    if lost:
        click.echo(
            f"Some of the output could not be written ({lost.strerror}); the command went on without "
            "it. `halo-integrations report last` prints the report again.",
            file=sys.stderr,
        )
    if code == INTERRUPTED:
        os._exit(code)  # requests that are under way are of no use now, and threads wait for them
    sys.exit(code or (PARTIAL if lost else OK))


def exit_code_of(words: list[str]) -> int:
    """Run one command; every error becomes a sentence and a code."""
    try:
        result = commands.main(words, prog_name="halo-integrations", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(file=sys.stderr)
        return USAGE
    except click.ClickException as error:
        error.show(file=sys.stderr)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return interrupted()
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence, not a traceback
        return failed(error, debug="--debug" in words)
    return result if isinstance(result, int) else OK


def interrupted() -> int:
    """Print what stays on disk after Ctrl-C."""
    click.echo(f"Stopped. {RESUMING}", file=sys.stderr)
    return INTERRUPTED


def failed(error: Exception, *, debug: bool) -> int:
    """Print what went wrong; the traceback only for ``--debug``."""
    from halo_engine.errors import (
        AdapterError,
        EngineError,
        HaloError,
        RateLimited,
        StorageError,
        Unavailable,
    )
    from halo_engine.text.redaction import redact

    if debug:
        click.echo(redact("".join(traceback.format_exception(error))), file=sys.stderr, nl=False)
    if isinstance(error, MemoryError):
        click.echo(f"Error: {OUT_OF_MEMORY} {RESUMING}", file=sys.stderr)
        return PARTIAL
    if not isinstance(error, HaloError):
        click.echo(
            f"Error: {type(error).__name__}: {redact(str(error))}. This is a fault of "
            f"halo-integrations; --debug shows where.",
            file=sys.stderr,
        )
        return PARTIAL
    notes = getattr(error, "__notes__", ()) or ((RESUMING,) if error.is_partial else ())
    for text in (f"Error: {error}", *notes):
        click.echo(redact(text), file=sys.stderr)
    # A platform that refuses before anything was done is a matter of the configuration.
    is_stopped = isinstance(error, AdapterError) and error.is_partial
    may_pass = isinstance(error, (EngineError, RateLimited, StorageError, Unavailable))
    return PARTIAL if is_stopped or may_pass else USAGE
