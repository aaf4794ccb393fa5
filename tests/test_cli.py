"""The command line as a whole: its table, its errors, its exit statuses. Each command has tests of its own."""

import subprocess
import sys
import types
from collections.abc import Callable

import pytest

from mate.cli import app as cli
from mate.errors import MateError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    """Registers a function as the body of `mate info` for one test."""

    def register(function: Callable[..., None]) -> None:
        module = types.ModuleType("mate_test_command")
        module.info = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "mate_test_command", module)
        monkeypatch.setitem(cli.COMMANDS, "info", ("mate_test_command:info", ""))

    return register


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, (_, help_line) in cli.COMMANDS.items():
        assert f"  {name} " in shown
        assert help_line in shown, f"the help line of {name} is cut off; make it shorter"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: mate {name}")
    assert len(shown.splitlines()) > 5


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import mate

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mate {mate.__version__}\n"


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["generat"], "Did you mean 'generate'"),
        (["info", "--nonsense"], "--nonsense"),
        (["export"], "Missing argument"),
    ],
)
def test_usage_errors_are_one_line(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and said in captured.err and "--help" in captured.err
    assert captured.err.count("\n") == 1


def test_bad_input_is_one_line_and_status_2(
    command: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def info() -> None:
        raise MateError("got a,\nexpected b;\n  do c")

    command(info)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == "error: got a, expected b; do c\n"


def test_a_path_that_cannot_be_used_is_one_line_and_status_2(
    command: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def info() -> None:
        open("/nowhere/at/all")  # noqa: SIM115

    command(info)
    assert cli.main(["info"]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: cannot use /nowhere/at/all: No such file or directory")
    assert captured.count("\n") == 1


def test_our_own_errors_keep_their_traceback(command: Callable[[Callable[..., None]], None]) -> None:
    def info() -> None:
        raise ZeroDivisionError

    command(info)
    with pytest.raises(ZeroDivisionError):
        cli.main(["info"])


def test_an_interruption_gives_130(command: Callable[[Callable[..., None]], None]) -> None:
    def info() -> None:
        raise KeyboardInterrupt

    command(info)
    assert cli.main(["info"]) == 130


def test_a_command_gets_its_arguments(
    command: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def info(number: int, loud: bool = False) -> None:
        print(number + 1, loud)

    command(info)
    assert cli.main(["info", "41", "--loud"]) == 0
    assert capsys.readouterr().out == "42 True\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`mate ... | head` ends without a traceback."""
    run = [sys.executable, "-c", "import sys; from mate.cli.app import main; sys.exit(main(['--help']))"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
