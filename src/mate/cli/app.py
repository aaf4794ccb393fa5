"""The `mate` command: a table of the commands, each imported only when it is called.

`mate --help` reads the table alone, so it needs neither PyTorch nor NumPy. A command file exports one function (or
one `typer.Typer`, for a group) and does nothing but arguments, calling the library and printing.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

from mate import __version__
from mate.errors import MateError

# name -> (module:attribute, the line `mate --help` shows)
COMMANDS = {
    "demo": ("mate.cli.demo:demo", "See the whole path in small, in a few minutes."),
    "generate": ("mate.cli.generate:generate", "Turn a prompt into motion files."),
    "prepare": ("mate.cli.prepare:prepare", "Turn motion capture and captions into a training set."),
    "verify": ("mate.cli.verify:verify", "Say what is wrong with a training set."),
    "align": ("mate.cli.align:align", "Tune a language model's motion words on motion."),
    "train": ("mate.cli.train:train", "Train a generator (with or without a word patch) or evaluator."),
    "score": ("mate.cli.score:score", "Say how well motions and texts go together."),
    "ground": ("mate.cli.ground:ground", "Show which frames and joints each word means."),
    "probe": ("mate.cli.probe:probe", "Check that motions do what their prompts say."),
    "evaluate": ("mate.cli.evaluate:evaluate", "Evaluate a generator or motions, by a named protocol."),
    "studio": ("mate.cli.studio:studio", "See words move the body, in the browser."),
    "export": ("mate.cli.export:export", "Convert motion files to other formats."),
    "bench": ("mate.cli.bench:bench", "Measure speed on this machine."),
    "info": ("mate.cli.info:info", "Say what a file or model is, and under which licence."),
}


class LazyGroup(TyperGroup):
    """Lists its commands from `COMMANDS`; swaps in the real command when one is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, placeholder, rest = super().resolve_command(ctx, args)
        if name is None or placeholder is None:
            return name, placeholder, rest
        return name, load_command(name), rest


def load_command(name: str) -> Any:
    """The click command `name` of the table, with its module imported."""
    module, attribute = COMMANDS[name][0].split(":")
    target = getattr(import_module(module), attribute)
    if isinstance(target, typer.Typer):
        target.rich_markup_mode = None
        command = typer.main.get_group(target)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(target)
        command = typer.main.get_command(single)
    command.name = name
    return command


# Rich panels would cut long option names on narrow terminals; plain help is also what scripts can read.
app = typer.Typer(
    name="mate",
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`mate COMMAND --help` explains a command. Exit status: 0 done, 2 bad input, 130 interrupted.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mate {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Motion-aligned word embeddings, and motion from text.

    `mate demo` shows the whole path in a few minutes; `mate generate "a person waves with the left hand"` makes a
    motion.
    """


def _placeholder() -> None:
    raise AssertionError("LazyGroup replaces this command before it is called")


for _name, (_target, _help) in COMMANDS.items():
    app.command(_name, help=_help)(_placeholder)


def _complain(message: str) -> int:
    """One line on standard error; the exit status of bad input."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status: 0 done, 2 bad input, 130 interrupted.

    `argv` is without the program's name; the default is `sys.argv[1:]`. What a user did wrong becomes one line on
    standard error; an error of ours keeps its traceback.
    """
    command = typer.main.get_command(app)
    try:
        status = command.main(args=argv, prog_name="mate", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (`| head`) has gone: not an error, and the interpreter must not flush again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except typer.TyperException as error:  # usage: unknown command or option, missing argument, wrong type
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message(), file=sys.stderr)
            return 2
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "mate"
        return _complain(f"{error.format_message().rstrip('.')}; `{path} --help` shows what there is")
    except typer.Abort:
        return 130
    except MateError as error:
        return _complain(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        return _complain(f"cannot use {error.filename}: {error.strerror}; check the path and its permissions")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
