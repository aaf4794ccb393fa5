"""`mate studio` before a browser comes: addresses, ports, models."""

import socket

import pytest

from mate.cli.app import main
from mate.errors import MateError
from mate.studio.run import address_of, bind


def test_a_free_port_is_found_and_its_address_is_one_to_type() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert port > 0 and address_of(listener, "127.0.0.1") == f"http://127.0.0.1:{port}/"
        assert address_of(listener, "0.0.0.0") == f"http://127.0.0.1:{port}/"
        assert address_of(listener, "::1") == f"http://[::1]:{port}/"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass  # it listens already


def test_a_taken_port_and_a_strange_address_are_told() -> None:
    with bind("127.0.0.1", 0) as listener, pytest.raises(MateError, match="in use; choose another"):
        bind("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(MateError, match="cannot listen on 203.0.113.1"):
        bind("203.0.113.1", 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "absent/folder/of/mine"], "absent/folder/of/mine"),
        (["--model", "default", "--model", "default"], "different names"),
        (["--port", "99999"], "--port"),
        (["--threads", "0"], "threads"),
    ],
)
def test_bad_options_are_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studio", "--no-browser", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1
