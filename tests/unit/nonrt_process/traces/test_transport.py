from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb

from nonrt_process.otlp_http import TransportError
from nonrt_process.traces.transport import make_transport
from shared.config.models.tracing_config import Exporter as Settings

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Receiver(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Decodes with the generated classes; answers what the test asks for."""

    def __init__(self) -> None:
        self.seen: list[tuple[pb.ExportTraceServiceRequest, dict[str, Any]]] = []
        self.refuse: tuple[grpc.StatusCode, bytes | None] | None = None

    def service(self, details: Any) -> Any:
        if details.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self.export,
            request_deserializer=pb.ExportTraceServiceRequest.FromString,
            response_serializer=pb.ExportTraceServiceResponse.SerializeToString,
        )

    def export(self, request: Any, context: Any) -> Any:
        if self.refuse is not None:
            code, status = self.refuse
            if status is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", status),))
            context.abort(code, "as asked")
        self.seen.append((request, dict(context.invocation_metadata())))
        answer = pb.ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = 1
        return answer


@contextmanager
def receiver() -> Iterator[tuple[Receiver, str]]:
    handler = Receiver()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield handler, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def body(name: str) -> bytes:
    request = pb.ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name=name)
    return request.SerializeToString()


def retry_info(seconds: int) -> bytes:
    """A google.rpc.Status with RetryInfo, field by field."""
    duration = Duration(seconds=seconds).SerializeToString()
    info = b"\x0a" + bytes([len(duration)]) + duration
    detail = AnyMessage(
        type_url="type.googleapis.com/google.rpc.RetryInfo", value=info
    ).SerializeToString()
    return b"\x08\x08\x1a" + bytes([len(detail)]) + detail


def test_grpc() -> None:
    with receiver() as (handler, url):
        transport = make_transport(
            Settings(endpoint=url, protocol="grpc"), {"OTEL_EXPORTER_OTLP_HEADERS": "X-Key=a%20b"}
        )
        answer = transport.send(body("one"), 5)
        assert answer.status == 200
        assert (
            pb.ExportTraceServiceResponse.FromString(answer.body).partial_success.rejected_spans
            == 1
        )
        ((request, metadata),) = handler.seen
        assert request.resource_spans[0].scope_spans[0].spans[0].name == "one"
        assert metadata["x-key"] == "a b"

        handler.refuse = grpc.StatusCode.UNAVAILABLE, None
        assert transport.send(body("two"), 5).status == 503
        handler.refuse = grpc.StatusCode.RESOURCE_EXHAUSTED, None
        assert transport.send(body("two"), 5).status == 400
        handler.refuse = grpc.StatusCode.RESOURCE_EXHAUSTED, retry_info(7)
        assert transport.send(body("two"), 5).retry_after == "7"
        handler.refuse = grpc.StatusCode.INVALID_ARGUMENT, None
        refused = transport.send(body("two"), 5)
        assert refused.status == 400
        assert "INVALID_ARGUMENT" in refused.error
    assert transport.send(body("nobody listens"), 1).status == 503


def test_headers_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text("# of the collector\nX-Api-Key: s3cret value\n\ntenant: a\n")
    path.chmod(0o600)
    with receiver() as (handler, url):
        settings = Settings(endpoint=url, protocol="grpc", headers_file=str(path))
        assert make_transport(settings, {}).send(body("one"), 5).status == 200
    metadata = handler.seen[0][1]
    assert (metadata["x-api-key"], metadata["tenant"]) == ("s3cret value", "a")


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("x-key: s3cret\n", 0o644, "readable by all"),
        ("x-key s3cret\n", 0o600, "line 1 is not"),
        ("x-key: s3cr\x07et\n", 0o600, "line 1 is not"),
        (None, 0o600, "No such file"),
    ],
)
def test_headers_file_that_is_refused(
    tmp_path: Path, content: str | None, mode: int, said: str
) -> None:
    path = tmp_path / "headers"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(TransportError) as raised:
        make_transport(Settings(headers_file=str(path)), {})
    assert said in str(raised.value)
    assert str(path) in str(raised.value)
    assert "s3cr" not in str(raised.value)


def test_tls_files_must_be_there(tmp_path: Path) -> None:
    settings = Settings(endpoint="https://localhost:1", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(TransportError, match=r"none\.pem"):
        make_transport(settings, {})


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(
    "text", ["a=b,s3cret", "a=b,x-key=s3cr%0Aet", "a=b,x key=s3cret", "a=b,=s3c"]
)
def test_headers_of_the_environment_are_refused_without_saying_them(
    protocol: Literal["http", "grpc"], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TransportError, match="item 2") as raised:
        make_transport(Settings(protocol=protocol), {"OTEL_EXPORTER_OTLP_HEADERS": text})
    assert "s3c" not in str(raised.value) + caplog.text


def test_grpc_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(TransportError, match=r"mxrc\[grpc\]"):
        make_transport(Settings(protocol="grpc"), {})
