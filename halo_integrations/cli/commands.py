"""The commands."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

import click

from halo_integrations.cli import options
from halo_integrations.cli.exits import INTERRUPTED, OK, PARTIAL, USAGE
from halo_integrations.version import __version__

if TYPE_CHECKING:
    from halo_integrations.cli.session import Session
    from halo_integrations.options.selection import TraceSelection

FILTERS = (
    *("since", "until", "limit", "sample", "seed", "errors_only", "environments", "names", "tags"),
    *("session_id", "user_id", "release", "version", "trace_ids", "metadata"),
)

EPILOG = """\b
Exit codes: 0 done; 1 a finding at or above --fail-on; 2 usage or configuration;
3 something failed or was not written (it is listed); 4 the budget was spent
before the end; 130 stopped by Ctrl-C.
"""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="halo-integrations")
def commands() -> None:
    """Find the failure modes that recur across the traces of your agents, each proven with quotes,
    and write them back onto the very traces and spans.

    \b
    halo-integrations run phoenix --project shop --since 24h
    halo-integrations run langfuse --since 24h
    halo-integrations run traces.jsonl
    halo-integrations undo last
    """


def session_of(debug: bool, **arguments: Any) -> Session:
    """The session of a command; imported here, since ``--help`` must not wait for it.

    ``debug`` belongs to ``main``.
    """
    from halo_integrations.cli.session import Session

    return Session(**arguments)


def question_of(source: str, arguments: dict[str, Any]) -> TraceSelection:
    """Take the filters out of the arguments of a command."""
    from halo_integrations.options.selection import TraceSelection

    filters = {name: arguments.pop(name) for name in FILTERS if name in arguments}
    return TraceSelection(source=source, project=arguments.pop("project"), **filters)


@commands.command()
@click.argument("source")
@options.platform
@options.filters
@options.writing
@options.follow_ups
@options.model
@options.fail_on
@options.as_json
@options.common
def run(source: str, **arguments: Any) -> int:
    """Pull, analyse, and write the findings back.

    SOURCE is a platform (phoenix, langfuse) or a path: a file or folder of OpenInference or
    OpenTelemetry JSON, `-` for standard input. A path is analysed only.
    """
    question = question_of(source, arguments)
    return session_of(**arguments).run(question)


@commands.command()
@click.argument("source")
@options.platform
@options.filters
@options.as_json
@options.common
def pull(source: str, **arguments: Any) -> int:
    """Read traces into a run folder, and nothing more. SOURCE as for `run`."""
    question = question_of(source, arguments)
    return session_of(**arguments).pull(question)


@commands.command()
@click.argument("run_id", metavar="RUN")
@options.model
@options.fail_on
@options.as_json
@options.common
def analyze(run_id: str, **arguments: Any) -> int:
    """Analyse the traces of RUN (`last`: the newest) again, or go on where that was cut off.

    What was asked of the same model before is not asked, and not paid for, again.
    """
    return session_of(**arguments).analyze(run_id)


@commands.command()
@click.argument("run_id", metavar="RUN")
@options.writing
@options.follow_ups
@options.as_json
@options.common
def annotate(run_id: str, **arguments: Any) -> int:
    """Write the findings of RUN (`last`: the newest) onto its traces and spans."""
    return session_of(**arguments).annotate(run_id)


@commands.command()
@click.argument("run_id", metavar="RUN")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.as_json
@options.common
def undo(run_id: str, **arguments: Any) -> int:
    """Take back exactly what RUN (`last`: the newest) wrote, and restore what stood there."""
    return session_of(**arguments).undo(run_id)


@commands.command()
@click.argument("run_id", metavar="RUN", default="last")
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "html", "json"]),
    default="md",
    show_default=True,
    help="Form of the report.",
)
@options.common
def report(run_id: str, form: str, **arguments: Any) -> int:
    """Print the report of RUN [last]."""
    return session_of(**arguments).report(run_id, form)


@commands.command()
@options.as_json
@options.common
def runs(**arguments: Any) -> int:
    """List the runs, newest first."""
    return session_of(**arguments).runs()


@commands.command()
@click.argument("source", default="phoenix")
@options.platform
@options.as_json
@options.common
def doctor(source: str, **arguments: Any) -> int:
    """Check what a run on SOURCE (phoenix, langfuse) [phoenix] needs, and say how to mend it."""
    question = question_of(source, arguments)
    return session_of(**arguments).doctor(question)


@commands.command()
@click.argument("source", default="phoenix")
@options.platform
@options.as_json
@options.common
def config(source: str, **arguments: Any) -> int:
    """Show every setting for SOURCE (phoenix, langfuse) [phoenix] and where it came from."""
    return session_of(**arguments).config(source)


@commands.command()
@click.option("--count", type=click.IntRange(50), default=300, show_default=True, metavar="N")
@click.option("--seed", default=0, show_default=True, help="Another seed, another day.")
@click.option("--exit", "leave", is_flag=True, help="End at once instead of at Ctrl-C.")
@click.option("--no-llm", is_flag=True, help="Use no model, even where there is a key.")
@click.option("--budget", default=0.5, show_default=True, metavar="USD", help="For the model.")
@options.as_json
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def demo(debug: bool, **arguments: Any) -> int:
    """See it work: an agent with planted faults, on a Phoenix server of its own.

    No key and no model are needed. Where a model is set (HALO_MODEL), or a provider's key is in the
    environment, it looks as well, within the budget. The first time Phoenix is installed into an
    environment of its own (about 850 MB).
    """
    from halo_integrations.cli.demo import demo as play

    return play(**arguments)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    words = sys.argv[1:] if arguments is None else arguments
    sys.exit(exit_code_of(words))


def exit_code_of(words: list[str]) -> int:
    """Run one command; every error becomes a sentence and a code."""
    try:
        result = commands.main(words, prog_name="halo-integrations", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return interrupted()
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence, not a traceback
        return failed(error, debug="--debug" in words)
    return result if isinstance(result, int) else OK


def interrupted() -> int:
    """Say what Ctrl-C leaves."""
    click.echo(
        "Stopped. What was read and written so far is on disk: give the same command again to "
        "go on, `halo-integrations runs` to see it.",
        err=True,
    )
    return INTERRUPTED


def failed(error: Exception, *, debug: bool) -> int:
    """Say what went wrong; the traceback only for ``--debug``."""
    from halo_engine.errors import EngineError, HaloError, RateLimited, Unavailable

    if debug:
        traceback.print_exception(error)
    if not isinstance(error, HaloError):
        click.echo(
            f"Error: {type(error).__name__}: {error}. This is a fault of halo-integrations; "
            f"--debug shows where.",
            err=True,
        )
        return PARTIAL
    for text in (f"Error: {error}", *getattr(error, "__notes__", ())):
        click.echo(text, err=True)
    return PARTIAL if isinstance(error, (EngineError, RateLimited, Unavailable)) else USAGE
