"""The way to the receiver as it is configured; OTLP over gRPC.

https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.util.re import parse_env_headers

from nonrt_process.otlp_http import Answer, HttpTransport, Transport
from shared.config.models.tracing_config import Exporter as Settings

_ENVIRON: Final = "OTEL_EXPORTER_OTLP_HEADERS"
_MAX_HEADERS_BYTES: Final = 16_384
_EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_RETRYABLE: Final = {
    "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS",
    "RESOURCE_EXHAUSTED",
}  # fmt: skip


class TransportError(Exception):
    """The settings cannot be used; says which, why, and what to do. Never a header's value."""


def make_transport(settings: Settings, environ: Mapping[str, str] = os.environ) -> Transport:
    """As configured. Raises TransportError: try again later, the files may be on their way."""
    headers = _file_headers(settings.headers_file)
    for path in (settings.ca_file, settings.client_cert_file, settings.client_key_file):
        _read(path)
    if settings.client_key_file is not None:
        _refuse_open(settings.client_key_file)
    if settings.protocol == "grpc":
        return GrpcTransport(
            settings, {**headers, **parse_env_headers(environ.get(_ENVIRON, ""), liberal=True)}
        )
    return HttpTransport(
        settings.endpoint,
        "/v1/traces",
        environ,
        headers=headers,
        compress=settings.compression == "gzip",
        ca_file=settings.ca_file,
        cert_file=settings.client_cert_file,
        key_file=settings.client_key_file,
    )


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TransportError(f"{path}: {error.strerror or error}") from error


def _refuse_open(path: str) -> None:
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise TransportError(f"{path}: {error.strerror or error}") from error
    if mode & 0o007:
        raise TransportError(f"{path} is readable by all and holds a secret: chmod o-rwx {path}")


def _file_headers(path: str | None) -> dict[str, str]:
    if path is None:
        return {}
    _refuse_open(path)
    content = _read(path) or b""
    if len(content) > _MAX_HEADERS_BYTES:
        raise TransportError(f"{path}: more than {_MAX_HEADERS_BYTES} bytes")
    headers = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        fit = name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        if not (colon and fit and name.isascii() and value.isascii() and value.isprintable()):
            raise TransportError(f"{path}: line {number} is not `name: value` in printable ASCII")
        headers[name] = value
    return headers


class GrpcTransport:
    """Unary call of TraceService/Export, its message as bytes: they are encoded already."""

    def __init__(self, settings: Settings, headers: Mapping[str, str] | None = None) -> None:
        try:
            import grpc
        except ImportError as error:
            raise TransportError(
                "exporter.protocol grpc needs the package grpcio: pip install 'mxrc[grpc]'"
            ) from error
        url = urlsplit(settings.endpoint)
        options = [("grpc.primary_user_agent", "mxrc"), ("grpc.enable_retries", 0)]
        if url.scheme == "https":
            credentials = grpc.ssl_channel_credentials(
                _read(settings.ca_file),
                _read(settings.client_key_file),
                _read(settings.client_cert_file),
            )
            channel = grpc.secure_channel(f"{url.hostname}:{url.port or 443}", credentials, options)
        else:
            channel = grpc.insecure_channel(f"{url.hostname}:{url.port or 4317}", options)
        self._grpc = grpc
        self._export = channel.unary_unary(
            _EXPORT, request_serializer=None, response_deserializer=None
        )
        self._compression = (
            grpc.Compression.Gzip
            if settings.compression == "gzip"
            else grpc.Compression.NoCompression
        )
        self._metadata = tuple((name.lower(), value) for name, value in (headers or {}).items())

    def send(self, body: bytes, timeout_s: float) -> Answer:
        try:
            data = self._export(
                body, timeout=timeout_s, metadata=self._metadata, compression=self._compression
            )
        except self._grpc.RpcError as error:
            return self._failure(error)
        except ValueError as error:  # metadata that gRPC refuses; its text holds the value
            return Answer(400, error=f"gRPC refuses the request: {type(error).__name__}")
        return Answer(200, data)

    def _failure(self, error: Any) -> Answer:
        """gRPC's codes as the statuses that the OTLP specification puts beside them."""
        code, text = error.code().name, f"gRPC {error.code().name}: {error.details()}"
        retry_after = _retry_delay(error.trailing_metadata() or ())
        if code == "RESOURCE_EXHAUSTED" and retry_after is None:
            return Answer(400, error=text)  # not to be retried unless the server says when
        if code in _RETRYABLE:
            return Answer(503, retry_after=retry_after, error=text)
        return Answer(400, error=text)


def _retry_delay(metadata: Any) -> str | None:
    """Seconds of google.rpc.RetryInfo in grpc-status-details-bin; None: it is not there."""
    from google.protobuf.duration_pb2 import Duration

    for key, value in metadata:
        if key != "grpc-status-details-bin":
            continue
        at = value.find(b"type.googleapis.com/google.rpc.RetryInfo")
        if at < 0:
            return None
        # Any.value (field 2) of RetryInfo, whose field 1 is the Duration.
        rest = value[at + len(b"type.googleapis.com/google.rpc.RetryInfo") :]
        if len(rest) < 4 or rest[0] != 0x12 or rest[2] != 0x0A:
            return "0"
        duration = Duration.FromString(rest[4 : 4 + rest[3]])
        return str(max(0, duration.seconds + (duration.nanos > 0)))
    return None
