"""The ``recsec`` command: commands register here; errors become exit codes here."""

from __future__ import annotations

import errno
import gc
import importlib
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from recsec import __version__
from recsec.cli.shared.output import Settings, configure, fail, note, say, settings, unwritten
from recsec.cli.shared.streams import silence_stdout, standard_streams
from recsec.errors import EXIT_INTERRUPTED, EXIT_OK, RecsecError, RunError, UsageError

__all__ = ["COMMANDS", "LazyGroup", "app", "main"]

COMMANDS = {
    "data": "Get, describe and make data sets.",
    "train": "Train a recommender.",
    "target": "Check a recommender of yours before calls are spent on it.",
    "evaluate": "Measure how good a recommender is, on items held out from training.",
    "recommend": "Try a recommender in an interactive session.",
    "similar": "Show the items whose photos are nearest to an item's.",
    "compare": "Compare two or more recommenders.",
    "try": "Try recommenders by hand, on a local page.",
    "evade": "Attack a recommender of photos by changing pixels.",
    "extract": "Copy a recommender through its top-k API.",
    "verify": "Prove that a suspect is a copy of yours.",
    "harden": "Train a model further so that it resists attacks.",
    "screen": "Check an uploaded photo before it is served.",
    "certify": "Prove that small changes cannot move a photo into other lists.",
    "traffic": "Measure how people choose from lists and how they ask.",
    "detect": "Fit detectors, and find the thieves in a query log.",
    "serve": "Serve a recommender behind a policy.",
    "keys": "Create, list and revoke the API keys of a service.",
    "operators": "Say who may log in to the dashboard of a service.",
    "monitor": "Replay a log under a policy, explain and take back decisions.",
    "audit": "Run a plan of attacks and write the report.",
    "report": "Write the report of a finished run.",
    "diff": "Compare two audits cell by cell.",
    "view": "Make a static site over many runs.",
    "list": "List models, attacks, guards and other components.",
    "demo": "A first audit, from training to report.",
}
"""Command and its one-line help. A command lives in ``recsec.cli.<name>``, or where ``HOMES`` says,
as ``app`` or ``run``, and is imported only when it is used, so ``--help`` stays fast."""

GARBAGE = 50_000
"""Objects after which Python looks for cycles of them: at its 700, a sixth of an import is that."""

HOMES = {
    **dict.fromkeys(
        ("compare", "detect", "extract", "recommend", "traffic", "verify"), "sequential."
    ),
    **dict.fromkeys(("keys", "monitor", "operators", "serve"), "live."),
    **dict.fromkeys(("certify", "evade", "screen", "similar"), "visual."),
}
"""The folder of the commands that are about one kind of recommender, or about the service."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says where no byte more can be written."""

EXIT_PIPE_CLOSED = 141
"""Whoever read stdout went away (``recsec ... | head``): what a shell reports for SIGPIPE."""


def _debug_only(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback on errors.")] = False,
) -> None:
    """The options that every command has; ``main`` reads them."""


def _command(function: Callable[..., Any]) -> Any:
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command()(function)
    return typer.main.get_command(single)


def load_command(name: str) -> Any:
    """Import the module of a command and build the command."""
    file = f"{name}_" if name in ("list", "try") else name
    module = importlib.import_module(f"recsec.cli.{HOMES.get(name, '')}{file}")
    group = getattr(module, "app", None)
    command: Any = _command(module.run) if group is None else typer.main.get_command(group)
    command.name = name
    shared = _command(_debug_only).params
    for leaf in [command, *getattr(command, "commands", {}).values()]:
        for option in () if isinstance(leaf, TyperGroup) else shared:
            option.expose_value = False
            leaf.params.append(option)
    return command


class LazyGroup(TyperGroup):
    """A group that knows the names and one-line helps; a command is imported when called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The named command, imported now."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name and found else None, rest


app = typer.Typer(
    cls=LazyGroup, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"recsec {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback on errors.")] = False,
) -> None:
    """Security of recommender systems: measure how a recommender can be attacked.

    Results go to stdout, progress and messages to stderr. Exit codes: 0 fine, 1 a gate failed,
    2 wrong arguments or configuration, 3 target, data or checkpoint at fault, 4 evidence
    incomplete or weak, 130 interrupted.
    """


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    if not arguments:
        arguments = ["--help"]
    try:
        with command.make_context("recsec", arguments) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return EXIT_OK


def _usage(error: typer.TyperException, words: list[str]) -> UsageError:
    context: Any = getattr(error, "ctx", None)
    called = [word for word in words[:1] if word in COMMANDS]
    path = " ".join(["recsec", *called]) if context is None else context.command_path
    message = " ".join(error.format_message().split()) or "no command given"
    return UsageError(message[0].lower() + message[1:].rstrip("."), hint=f"{path} --help")


def _full_disk(error: BaseException) -> RunError | None:
    """What an error says about a disk without space, it or one behind it.

    polars and safetensors raise errors of their own, which tell it in words.
    """
    behind: BaseException | None = error
    while behind is not None:
        told = re.search(r"\(os error (\d+)\)", str(behind))
        if {getattr(behind, "errno", None), int(told[1]) if told else None} & FULL:
            name = getattr(behind, "filename", None)
            what = f"cannot write {name}: the disk is full" if name else "the disk is full"
            return RunError(
                f"{error.message} (the disk is full)" if isinstance(error, RecsecError) else what,
                hint="make room, then run the same command again: what was finished is kept",
            )
        behind = behind.__cause__ or behind.__context__
    return None


def _unexpected(error: BaseException) -> RecsecError:
    if isinstance(error, SystemExit):
        return RecsecError(
            f"something ended recsec by sys.exit({error.code!r})",
            hint="run the same command with --debug: it shows which code did",
        )
    if isinstance(error, MemoryError):
        return RecsecError(
            f"there is not enough memory: {str(error) or 'no more is left'}",
            hint="ask for less: shorter lists, fewer users, a smaller model or batch",
        )
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return RecsecError(f"{error.strerror.lower()}{place}", hint="run with --debug for details")
    return RecsecError(
        f"recsec failed in a way it should not: {type(error).__name__}: {error}",
        hint="run the same command with --debug and report what it prints",
    )


def _show_warning(message: Warning | str, *where: Any, **_: Any) -> None:
    debug = settings().debug
    note(warnings.formatwarning(message, *where[:3]) if debug else f"warning: {message}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    An exception that nobody expected is a defect of recsec; it is reported in one line and
    exits 3 like a fault of the target, so that a gate never reads it as a verdict.
    """
    gc.set_threshold(GARBAGE)
    words = list(sys.argv[1:] if arguments is None else arguments)
    configure(**vars(Settings(json="--json" in words, debug="--debug" in words)))
    with standard_streams(), warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.showwarning = _show_warning
        code = EXIT_OK
        try:
            code = _told(words)
            sys.stdout.flush()
        except BrokenPipeError:
            silence_stdout()
            return code or EXIT_PIPE_CLOSED
        except OSError as error:
            silence_stdout()
            return code or fail(unwritten(error))
        return code


def _told(words: list[str]) -> int:
    """Run the words, and tell what went wrong."""
    try:
        return _run(words)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        if (resume := settings().resume) is not None:
            say(resume, label="next")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except typer.Abort:
        return EXIT_INTERRUPTED
    except typer.TyperException as error:
        return fail(_usage(error, words))
    except BaseException as error:  # the last line of defense: no traceback reaches a user
        if settings().debug:
            say(traceback.format_exc())
        known = error if isinstance(error, RecsecError) else _unexpected(error)
        return fail(_full_disk(error) or known)
