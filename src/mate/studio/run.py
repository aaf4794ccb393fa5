"""Starts the studio: a socket first, so that the address is known and taken, then the server, then the models."""

import socket
import threading
import webbrowser
from collections.abc import Callable

from mate.errors import MateError
from mate.studio.config import StudioConfig


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises MateError: the address cannot be used, or the port is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(256)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        raise MateError(
            f"cannot listen on {host} port {port}: {reason}; choose another with --host or --port"
        ) from error
    return listener


def address_of(listener: socket.socket, host: str) -> str:
    """The URL to type into a browser on this machine."""
    port = listener.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"


def serve(config: StudioConfig, open_browser: bool, announce: Callable[[str], None]) -> None:
    """Serves until it is interrupted.

    Args:
        announce: told the URL when connections are possible.

    Raises:
        MateError: the extra `studio` is not installed, a model is not there, or the address cannot be used.
    """
    try:
        import uvicorn

        from mate.studio.server import create_app
    except ImportError as error:
        raise MateError(
            f"the studio needs {error.name}, which is not installed; get it with `pip install 'mate-motion[studio]'`"
        ) from error
    app = create_app(config)
    with bind(config.host, config.port) as listener:
        url = address_of(listener, config.host)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                ws="none",
                timeout_keep_alive=30,
                timeout_graceful_shutdown=2,
            )
        )
        announce(url)
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        server.run(sockets=[listener])
