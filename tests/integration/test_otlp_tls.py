"""Spans to a receiver over TLS, by both protocols, with authorities made for the test."""

from __future__ import annotations

import gzip
import logging
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb

from nonrt_process.otlp_http import TransportError
from nonrt_process.traces import otlp
from nonrt_process.traces.exporter import Exporter
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.spool import Spool
from nonrt_process.traces.statistics import Statistics
from nonrt_process.traces.transport import make_transport
from shared.clock import FakeClock
from shared.config.models.tracing_config import Exporter as Settings

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
SECRET = "s3cret-of-the-receiver"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Authority:
    """A certificate authority that lasts a day."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self.ca = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        self._run("req", "-x509", *self._new(name, self._key), "-out", str(self.ca), "-days", "1")

    def issue(self, name: str, host: str = "IP:127.0.0.1") -> tuple[Path, Path]:
        """Certificate and key of a server or client."""
        key, asked, cert, extra = (
            self._folder / f"{self._name}-{name}.{end}" for end in ("key", "csr", "crt", "ext")
        )
        self._run("req", *self._new(name, key), "-out", str(asked))
        extra.write_text(f"subjectAltName={host}\n")
        signer = ["-CA", str(self.ca), "-CAkey", str(self._key), "-CAcreateserial"]
        self._run(
            *("x509", "-req", "-in", str(asked), "-out", str(cert), "-days", "1"),
            *("-extfile", str(extra), *signer),
        )
        key.chmod(0o600)
        return cert, key

    @staticmethod
    def _new(name: str, key: Path) -> list[str]:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        return [*curve, "-keyout", str(key), "-subj", f"/CN={name}"]

    @staticmethod
    def _run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "good")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "stranger")


class Handler(BaseHTTPRequestHandler):
    """Keeps what arrives: (headers, request)."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        seen = self.server.seen  # type: ignore[attr-defined]
        seen.append((dict(self.headers), pb.ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """The handshake is made in the thread of the connection."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[dict[str, str], Any]] = []
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A handshake that fails is what some tests want."""


@contextmanager
def https_receiver(
    authority: Authority, clients: Path | None = None, host: str = "IP:127.0.0.1"
) -> Iterator[Server]:
    """clients: the authority whose certificate a client must show."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("server", host))
    if clients is not None:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(clients)
    server = Server(tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def of(server: Server, scheme: str = "https") -> str:
    return f"{scheme}://127.0.0.1:{server.server_address[1]}"


def headers_file(folder: Path) -> str:
    path = folder / "headers"
    path.write_text(f"x-api-key: {SECRET}\n")
    path.chmod(0o600)
    return str(path)


class Sender:
    """Spool and exporter, without the thread."""

    def __init__(self, settings: Settings, log: str = "tls") -> None:
        self.spool = Spool(None, logging.getLogger(log))
        self.statistics = Statistics(Inbox(), self.spool)
        self._exporter = Exporter(
            self.spool,
            lambda: make_transport(settings, {}),
            self.statistics,
            FakeClock(),
            logging.getLogger(log),
            settings.endpoint,
        )

    def send(self, name: str = "s") -> float:
        """The wait until it is tried again; 0: done."""
        span = otlp.span(
            trace_id=bytes([9] * 16),
            span_id=bytes([1] * 8),
            parent_span_id=b"",
            name=name,
            kind=1,
            start_ns=1,
            end_ns=2,
        )
        origin = otlp.Origin.make({"service.name": "test"}, "scope", "1")
        self.spool.append(otlp.resource_spans(origin, [otlp.field(2, span)]), 1)
        taken = self.spool.take(10)
        assert taken is not None
        return self._exporter.deliver(taken, timeout_s=30)


def test_https_with_headers_and_gzip(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with https_receiver(authority) as server:
        sender = Sender(
            Settings(
                endpoint=of(server),
                ca_file=str(authority.ca),
                headers_file=headers_file(tmp_path),
            )
        )
        assert sender.send("one") == 0
        assert sender.send("two") == 0
    assert sender.statistics.exported() == 2
    assert sender.statistics.export_failures() == 0
    names = [r.resource_spans[0].scope_spans[0].spans[0].name for _, r in server.seen]
    assert names == ["one", "two"]
    for headers, _ in server.seen:
        assert headers["Content-Encoding"] == "gzip"
        assert headers["x-api-key"] == SECRET
    assert SECRET not in caplog.text


@pytest.mark.parametrize("given", [False, True])
def test_an_unknown_authority_is_refused(
    authority: Authority,
    stranger: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    given: bool,
) -> None:
    """Neither the system's nor another one in ca_file will do; spans wait."""
    with https_receiver(authority) as server:
        settings = Settings(
            endpoint=of(server),
            ca_file=str(stranger.ca) if given else None,
            headers_file=headers_file(tmp_path),
        )
        sender = Sender(settings)
        assert sender.send() > 0
        assert sender.spool.pending() == 1
    assert server.seen == []
    assert sender.statistics.export_failures() == 1
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    assert "exporter.ca_file" in caplog.text
    assert SECRET not in caplog.text


def test_another_host_and_plain_text_are_refused(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with https_receiver(authority, host="DNS:elsewhere.example") as server:
        sender = Sender(Settings(endpoint=of(server), ca_file=str(authority.ca)))
        assert sender.send() > 0
    assert server.seen == []
    assert "as its certificate has it" in caplog.text
    plain = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=plain.serve_forever, args=(0.02,))
    thread.start()
    try:
        url = f"https://127.0.0.1:{plain.server_address[1]}"
        assert Sender(Settings(endpoint=url, ca_file=str(authority.ca))).send() > 0
    finally:
        plain.shutdown()
        thread.join()
        plain.server_close()
    assert "does not speak TLS" in caplog.text


def test_client_certificate(
    authority: Authority, stranger: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with https_receiver(authority, clients=authority.ca) as server:
        base = {"endpoint": of(server), "ca_file": str(authority.ca)}
        assert Sender(Settings.model_validate(base)).send() > 0
        for issuer, waits in ((stranger, True), (authority, False)):
            cert, key = issuer.issue("client")
            shown = {"client_cert_file": str(cert), "client_key_file": str(key)}
            sender = Sender(Settings.model_validate({**base, **shown}))
            assert (sender.send() > 0) is waits
    assert len(server.seen) == 1


def test_files_that_are_no_certificates(authority: Authority, tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("nothing of the kind\n")
    cert, key = authority.issue("one")
    _, other_key = authority.issue("two")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-in", key, "-aes256", "-passout", "pass:x" * 4, "-out", locked],
        check=True,
        capture_output=True,
    )
    locked.chmod(0o600)
    url = "https://127.0.0.1:1"
    for wrong, said in (
        ({"ca_file": str(text)}, "exporter.ca_file"),
        ({"client_cert_file": str(text), "client_key_file": str(key)}, str(text)),
        ({"client_cert_file": str(cert), "client_key_file": str(other_key)}, str(other_key)),
        ({"client_cert_file": str(cert), "client_key_file": str(locked)}, str(locked)),
    ):
        for protocol in ("http", "grpc"):
            settings = Settings.model_validate({"endpoint": url, "protocol": protocol, **wrong})
            with pytest.raises(TransportError) as raised:
                make_transport(settings, {})
            assert said in str(raised.value)


class GrpcHandler(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, Any], Any]] = []

    def service(self, details: Any) -> Any:
        assert details.method == EXPORT
        return grpc.unary_unary_rpc_method_handler(
            self.export,
            request_deserializer=pb.ExportTraceServiceRequest.FromString,
            response_serializer=pb.ExportTraceServiceResponse.SerializeToString,
        )

    def export(self, request: Any, context: Any) -> Any:
        self.seen.append((dict(context.invocation_metadata()), request))
        return pb.ExportTraceServiceResponse()


def test_grpc_over_tls(
    authority: Authority, stranger: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handler = GrpcHandler()
    cert, key = authority.issue("server")
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    secured = grpc.ssl_server_credentials(
        [(key.read_bytes(), cert.read_bytes())], authority.ca.read_bytes(), True
    )
    port = server.add_secure_port("127.0.0.1:0", secured)
    server.start()
    cert, key = authority.issue("client")
    base = {
        "endpoint": f"https://127.0.0.1:{port}",
        "protocol": "grpc",
        "headers_file": headers_file(tmp_path),
        "client_cert_file": str(cert),
        "client_key_file": str(key),
    }
    try:
        for ca, waits in ((stranger.ca, True), (authority.ca, False)):
            sender = Sender(Settings.model_validate({**base, "ca_file": str(ca)}))
            assert (sender.send() > 0) is waits
            assert sender.statistics.export_failures() == int(waits)
    finally:
        server.stop(None).wait()
    ((metadata, request),) = handler.seen
    assert metadata["x-api-key"] == SECRET
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "s"
    assert "exporter.ca_file" in caplog.text
    assert SECRET not in caplog.text
