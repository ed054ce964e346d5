"""The way to the receiver as it is configured; OTLP over gRPC.

https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from nonrt_process.otlp_http import (
    Answer,
    HttpTransport,
    Transport,
    TransportError,
    env_headers,
    is_header,
    tls_advice,
)
from shared.config.models.tracing_config import Exporter as Settings

_MAX_HEADERS_BYTES: Final = 16_384
_EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_RETRYABLE: Final = {
    "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS",
    "RESOURCE_EXHAUSTED",
}  # fmt: skip


def make_transport(settings: Settings, environ: Mapping[str, str] = os.environ) -> Transport:
    """As configured. Raises TransportError: try again later, the files may be on their way."""
    headers = _file_headers(settings.headers_file)
    tls = _tls(settings) if settings.endpoint.startswith("https:") else None
    if settings.protocol == "grpc":
        return GrpcTransport(settings, {**headers, **env_headers(environ)})
    return HttpTransport(
        settings.endpoint,
        "/v1/traces",
        environ,
        headers=headers,
        compress=settings.compression == "gzip",
        tls=tls,
    )


def _tls(settings: Settings) -> ssl.SSLContext:
    """Of the files, each of which was read and understood."""
    ca, cert, key = settings.ca_file, settings.client_cert_file, settings.client_key_file
    for path in (ca, cert, key):
        _read(path)
    if key is not None:
        _refuse_open(key)
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise TransportError(f"{ca} holds no certificate in PEM form (exporter.ca_file)") from error
    if cert is not None:
        try:
            # The empty password: nobody is there to be asked for one.
            context.load_cert_chain(cert, key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise TransportError(
                f"{cert} and {key or cert} are no certificate in PEM form and its key without a "
                f"password ({getattr(error, 'reason', None) or error})"
            ) from error
    return context


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
        if not (colon and is_header(name, value)):
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
        code, details = error.code().name, str(error.details())
        text = f"gRPC {code}: {details}{tls_advice(details)}"
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
