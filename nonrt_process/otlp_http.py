"""OTLP over HTTP with protobuf: one request, and how long to wait before it is sent again.

After the OTLP specification (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
"""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

from opentelemetry.util.re import parse_env_headers

FIRST_BACKOFF_S: Final = 0.5
MAX_BACKOFF_S: Final = 30.0
MAX_RETRY_AFTER_S: Final = 300.0
MIN_WAIT_S: Final = 0.05
RETRYABLE: Final = frozenset({429, 502, 503, 504})
_MAX_ANSWER: Final = 1 << 20


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

    headers: of each request; OTEL_EXPORTER_OTLP_HEADERS (key=value,...) comes on top. ca_file,
    cert_file, key_file: PEM, for https.
    """

    def __init__(
        self,
        endpoint: str,
        path: str,
        environ: Mapping[str, str] = os.environ,
        *,
        headers: Mapping[str, str] | None = None,
        compress: bool = True,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
    ) -> None:
        import urllib3  # 30 ms that the start of the process need not wait for

        self._url = endpoint.rstrip("/") + path
        self._compress = compress
        secure: dict[str, Any] = {}
        if self._url.startswith("https:"):
            secure = {"ca_certs": ca_file, "cert_file": cert_file, "key_file": key_file}
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, **secure)
        self._errors = (urllib3.exceptions.HTTPError, OSError)
        self._headers = {
            **(headers or {}),
            **parse_env_headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""), liberal=True),
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
            return Answer(0, error=f"{type(error).__name__}: {error}")
        return Answer(response.status, data, response.headers.get("Retry-After"))


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
