"""Who may ask for what: Host, origin, token, content type, size of the body.

Against a web page that a user of this machine happens to visit. It can send requests to loopback,
but neither with a Host of ours (DNS rebinding keeps the foreign name) nor with application/json
(the browser asks for CORS first, which is never granted).
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nonrt_process.http_limit import read_off
from nonrt_process.problem_document import phrase, problem_response

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN_PATHS = ("/health",)  # probes and load balancers come with names of their own

_LOOKED_AT = frozenset({b"host", b"origin", b"authorization", b"content-type", b"content-length"})


class _TooLargeError(Exception):
    """The body is larger than allowed."""


@lru_cache(maxsize=64)
def host_name(value: str) -> str | None:
    """Host of a Host header, lower case, without port and brackets; None: not a host."""
    try:
        parts = urlsplit(f"//{value}")
        _ = parts.port  # raises when it is no number
    except ValueError:
        return None
    name = parts.hostname
    if not name or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return name.rstrip(".").lower()


def is_our_host(name: str | None, own: Iterable[str], local_address: str | None) -> bool:
    """Whether a Host is this service's.

    It is when it is a loopback name, one that is configured (`own`), or the very address that the
    connection came in on: an address cannot be rebound, a name can.
    """
    if name is None:
        return False
    if name in LOCAL_NAMES or any(name == one.lower() for one in own):
        return True
    if local_address is None:
        return False
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(local_address)
    except ValueError:
        return False


class Guards:
    """ASGI middleware. own_hosts, token, max_bytes are asked at each request: they may change."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        own_hosts: Callable[[], Iterable[str]],
        token: Callable[[], str | None],
        max_bytes: Callable[[], int],
    ) -> None:
        self._app = app
        self._own_hosts = own_hosts
        self._token = token
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            says_length = scope["method"] not in SAFE_METHODS and _says_length(scope)
            await (self._app if says_length else self._bounded)(scope, receive, send)
            return
        status, detail = refusal
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        if scope["method"] not in SAFE_METHODS:
            await read_off(receive)
            headers["Connection"] = "close"  # there may be more of it
        response = problem_response(status, phrase(status), detail, scope["path"], headers=headers)
        await response(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        changes = scope["method"] not in SAFE_METHODS
        headers: dict[bytes, list[str]] = {}
        for key, value in scope["headers"]:
            if key not in _LOOKED_AT:
                continue
            headers.setdefault(key, []).append(value.decode("latin-1"))
        if changes or not scope["path"].startswith(_OPEN_PATHS):
            refusal = self._foreign(headers, scope)
            if refusal is not None:
                return refusal
        if not changes:
            return None
        return self._unauthorized(headers) or _wrong_type(headers) or self._too_large(headers)

    def _foreign(self, headers: dict[bytes, list[str]], scope: Scope) -> tuple[int, str] | None:
        hosts = headers.get(b"host", [])
        server = scope.get("server")
        address = server[0] if server else None
        own = list(self._own_hosts())
        if len(hosts) != 1 or not is_our_host(host_name(hosts[0]), own, address):
            shown = hosts[0] if hosts else "none"
            return 403, (
                f"Host {shown!r:.120} is not this service's: use its address, or add the name to "
                "allowed_hosts in api.json"
            )
        for origin in headers.get(b"origin", []):
            if not is_our_host(host_name(urlsplit(origin).netloc), own, address):
                return 403, f"requests of pages from {origin!r:.120} are refused"
        return None

    def _unauthorized(self, headers: dict[bytes, list[str]]) -> tuple[int, str] | None:
        token = self._token()
        if token is None:
            return None
        given = headers.get(b"authorization", [""])[0]
        scheme, _, value = given.partition(" ")
        known = hmac.compare_digest(value.strip().encode(), token.encode())
        if scheme.lower() == "bearer" and known:
            return None
        return 401, "a change needs the header `Authorization: Bearer TOKEN` with the right token"

    def _too_large(self, headers: dict[bytes, list[str]]) -> tuple[int, str] | None:
        length = headers.get(b"content-length", ["0"])[0]
        if length.isdigit() and int(length) > self._max_bytes():
            return 413, f"the body has {length} bytes, at most {self._max_bytes()} are allowed"
        return None

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the body as it comes: a chunked one does not say its length."""
        limit = self._max_bytes()
        taken = 0

        async def count() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > limit:
                    raise _TooLargeError
            return message

        async def watch(message: Message) -> None:
            if taken <= limit:  # else the application answers to the exception in its own words
                await send(message)

        with suppress(_TooLargeError):
            await self._app(scope, count, watch)
        if taken > limit:
            detail = f"the body has more than the {limit} bytes that are allowed"
            await read_off(receive)
            headers = {"Connection": "close"}  # there may be more of it
            response = problem_response(413, phrase(413), detail, scope["path"], headers=headers)
            await response(scope, receive, send)


def _says_length(scope: Scope) -> bool:
    """Whether the server holds the body to a length that was looked at already."""
    names = [name for name, _ in scope["headers"]]
    return b"content-length" in names and b"transfer-encoding" not in names


def _wrong_type(headers: dict[bytes, list[str]]) -> tuple[int, str] | None:
    given = headers.get(b"content-type", [""])
    media, _, parameters = given[0].partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if (
        len(given) == 1
        and media.strip().lower() == "application/json"
        and charset in ("", "charset=utf-8")
    ):
        return None
    shown = given[0] or "none"
    return (
        415,
        f"found content type {shown!r:.100}: a change needs `Content-Type: application/json`",
    )
