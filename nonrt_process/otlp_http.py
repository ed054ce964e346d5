"""OTLP over HTTP with protobuf: one request, and how long to wait before it is sent again.

After the OTLP specification (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
"""

from __future__ import annotations

import gzip
import os
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Final, Protocol
from urllib.parse import unquote

FIRST_BACKOFF_S: Final = 0.5
MAX_BACKOFF_S: Final = 30.0
MAX_RETRY_AFTER_S: Final = 300.0
MIN_WAIT_S: Final = 0.05
RETRYABLE: Final = frozenset({429, 502, 503, 504})
HEADERS_VARIABLE: Final = "OTEL_EXPORTER_OTLP_HEADERS"
_MAX_ANSWER: Final = 1 << 20


class TransportError(Exception):
    """The settings cannot be used; says which, why, and what to do. Never a header's value."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said. status 0: nothing; error tells why."""

    status: int
    body: bytes = b""
    retry_after: str | None = None
    error: str = ""


class Transport(Protocol):
    """Sends one request body; never raises."""

    def send(self, body: bytes, timeout_s: float) -> Answer: ...


class HttpTransport:
    """POST to <endpoint><path>.

    headers: of each request; OTEL_EXPORTER_OTLP_HEADERS (key=value,...) comes on top. tls: for
    https; None: the authorities of the system. Raises TransportError.
    """

    def __init__(
        self,
        endpoint: str,
        path: str,
        environ: Mapping[str, str] = os.environ,
        *,
        headers: Mapping[str, str] | None = None,
        compress: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        import urllib3  # 30 ms that the start of the process need not wait for

        self._url = endpoint.rstrip("/") + path
        self._compress = compress
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=1,
            retries=False,
            ssl_context=tls if self._url.startswith("https:") else None,
        )
        self._errors = (urllib3.exceptions.HTTPError, OSError)
        self._headers = {
            **(headers or {}),
            **env_headers(environ),
            "Content-Type": "application/x-protobuf",
            "User-Agent": "mxrc",
        }
        if compress:
            self._headers["Content-Encoding"] = "gzip"

    def send(self, body: bytes, timeout_s: float) -> Answer:
        import urllib3

        try:
            response = self._pool.request(
                "POST",
                self._url,
                body=gzip.compress(body, 1) if self._compress else body,
                headers=self._headers,
                timeout=urllib3.Timeout(timeout_s),
                redirect=False,
                preload_content=False,
            )
            try:
                data = response.read(_MAX_ANSWER)
            finally:
                response.drain_conn()
                response.release_conn()
        except self._errors as error:
            return Answer(0, error=f"{type(error).__name__}: {error}{tls_advice(str(error))}")
        return Answer(response.status, data, response.headers.get("Retry-After"))


def tls_advice(problem: str) -> str:
    """What to do about a failed handshake; empty: it was something else."""
    if "Hostname mismatch" in problem or "IP address mismatch" in problem:
        return "; use the endpoint's name as its certificate has it"
    if "certificate has expired" in problem or "not yet valid" in problem:
        return "; renew the receiver's certificate, or set the clock of this machine"
    if "CERTIFICATE_VERIFY_FAILED" in problem:
        return (
            "; nobody who is trusted here has signed the receiver's certificate: give its "
            "authority as exporter.ca_file (traces), or add it to those of the system"
        )
    if "WRONG_VERSION_NUMBER" in problem or "HTTP_REQUEST" in problem:
        return "; the receiver does not speak TLS on this port: http:// instead of https://"
    if "alert" in problem.lower() and "certificate" in problem.lower():
        return (
            "; the receiver wants a certificate that it trusts: exporter.client_cert_file (traces)"
        )
    return ""


def env_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of OTEL_EXPORTER_OTLP_HEADERS: key=value,... with values as in URLs; names lower case.

    After https://opentelemetry.io/docs/specs/otel/protocol/exporter/. Raises TransportError.
    """
    headers = {}
    for number, item in enumerate(environ.get(HEADERS_VARIABLE, "").split(","), 1):
        if not item.strip():
            continue
        name, equals, value = item.partition("=")
        name, value = unquote(name).strip().lower(), unquote(value).strip()
        if not (equals and is_header(name, value)):
            raise TransportError(
                f"{HEADERS_VARIABLE}: item {number} is not `name=value` in printable ASCII"
            )
        headers[name] = value
    return headers


def is_header(name: str, value: str) -> bool:
    """Fit for HTTP/1.1 and gRPC."""
    fit = name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return fit and name.isascii() and value.isascii() and value.isprintable()


class Backoff:
    """Doubling waits with jitter; the receiver's Retry-After comes first."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._next_s = FIRST_BACKOFF_S

    def reset(self) -> None:
        """A request went well."""
        self._next_s = FIRST_BACKOFF_S

    def wait_s(self, answer: Answer, now_realtime_ns: int) -> float:
        """Seconds to wait after `answer`; never 0."""
        asked = retry_after_s(answer.retry_after, now_realtime_ns)
        if asked is not None:
            return min(max(asked, MIN_WAIT_S), MAX_RETRY_AFTER_S)
        wait = self._next_s * (0.5 + self._jitter() / 2)
        self._next_s = min(self._next_s * 2, MAX_BACKOFF_S)
        return wait


def retry_after_s(header: str | None, now_realtime_ns: int) -> float | None:
    """Seconds that a Retry-After header (delay or date, RFC 9110) asks for; None: it does not."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    now = datetime.fromtimestamp(now_realtime_ns / 1e9, timezone.utc)
    return max(0.0, (moment - now).total_seconds())
