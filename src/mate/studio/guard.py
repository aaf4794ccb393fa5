"""What every request passes: who may ask, how much may be sent, and which headers every answer carries.

A page elsewhere on the web can make a visitor's browser send requests to 127.0.0.1, or let its own name point there (DNS
rebinding). So the Host must be a name of this machine, and whatever changes something must come from this page.
"""

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
SAFE = ("GET", "HEAD")


def host_name(value: str) -> str:
    """The name in a Host header, without its port: "localhost:80" -> "localhost", "[::1]:80" -> "::1"."""
    if value.startswith("["):
        return value[1:].partition("]")[0].lower()
    return value.rpartition(":")[0].lower() if value.count(":") == 1 else value.lower()


def is_loopback(name: str) -> bool:
    """Whether a name can only mean this machine."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def host_allowed(value: str, bound: str) -> bool:
    """Whether a Host header may be answered by a server that is bound to the address `bound`.

    On loopback only loopback's own names. Elsewhere also any address (rebinding needs a name), `bound` and this machine's name.
    """
    name = host_name(value)
    if is_loopback(name):
        return True
    if is_loopback(bound):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in (bound.lower(), socket.gethostname().lower(), socket.getfqdn().lower())
    return True


class Guard:
    """ASGI middleware.

    Args:
        app: what it protects. bound: the address that the server listens on.
        limits: (path, largest body in bytes) for paths with a limit of their own; `limit` for all others.
    """

    def __init__(self, app: App, bound: str, limit: int, limits: dict[str, int]) -> None:
        self.app, self.bound, self.limit, self.limits = app, bound, limit, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself where a request may not pass."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        send = _with_headers(send, scope["path"])
        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        most = self.limits.get(scope["path"], self.limit)
        said = headers.get("content-length", "0")
        if not said.isascii() or not said.isdigit() or int(said) > most:
            await _answer(send, 413, _too_large(most))
            return
        await self._limited(scope, receive, send, most)

    def _refusal(self, method: str, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not host_allowed(host, self.bound):
            return (
                403,
                f"this studio does not answer to the name {host_name(host)[:80]!r}; use the address that `mate studio` printed",
            )
        if method in SAFE:
            return None
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return 403, "this request comes from another page"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "this request comes from another page"
        return None

    async def _limited(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        """Counts what comes in chunks, without a length said before."""
        got, answered = 0, False

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                return {"type": "http.disconnect"}
            return message

        async def unless_too_large(message: Message) -> None:
            nonlocal answered
            if got <= most:
                await send(message)
            elif not answered:
                answered = True
                await _answer(send, 413, _too_large(most))

        try:
            await self.app(scope, counted, unless_too_large)
        except Exception:
            if got <= most:
                raise
        if got > most and not answered:
            await _answer(send, 413, _too_large(most))


def _too_large(most: int) -> str:
    size = f"{most // 2**20} MiB" if most >= 2**20 else f"{most // 2**10} KiB"
    return f"this is more than {size}, which is the limit here; cut the motion into shorter clips"


def _with_headers(send: Send, path: str) -> Send:
    # The built client's files carry a hash of their content in their names.
    lasting = path.startswith("/assets/")
    cache = "public, max-age=31536000, immutable" if lasting else "no-store"
    own = [(key.encode(), value.encode()) for key, value in {**HEADERS, "cache-control": cache}.items()]

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() != b"cache-control"]
            message = {**message, "headers": [*kept, *own]}
        await send(message)

    return wrapped


async def _answer(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
