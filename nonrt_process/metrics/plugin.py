"""The metrics plugin: a collector over all sources, and its own small HTTP server."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from nonrt_process.context import Context
from nonrt_process.endpoints import http_url
from nonrt_process.http_server import HttpServer, ServerCheck, bind
from nonrt_process.interfaces import Endpoints, PluginList
from nonrt_process.metric_families import Families
from nonrt_process.metrics.process_source import ProcessSource
from nonrt_process.metrics.rt_source import RtSource
from nonrt_process.plugins import Plugin
from nonrt_process.quiet import Quiet


class MetricsCollector:
    """prometheus_client's collector protocol; a source that fails is logged and left out."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rt = RtSource(context)
        self._processes = ProcessSource(context)
        self._quiet = Quiet(context.log.getChild("metrics"), context.clock)

    def collect(self) -> Iterable[Metric]:
        families = Families()
        sources = [self._rt.collect, self._processes.collect, self._contributed]
        for source in sources:
            try:
                source(families)
            except Exception as error:  # noqa: BLE001 - the other metrics are still wanted
                self._quiet.say(
                    logging.ERROR, source.__qualname__, f"Metrics not collected: {error}", error
                )
        return families.metrics()

    def _contributed(self, families: Families) -> None:
        plugins = self._context.get(PluginList)
        for plugin in () if plugins is None else plugins.plugins():
            for source in plugin.metrics:
                families.merge(source.collect())


class MetricsPlugin(Plugin):
    """Serves GET /metrics on metrics_host, metrics_port."""

    def __init__(self, context: Context) -> None:
        super().__init__("metrics", health_checks=[ServerCheck("metrics_server", self._alive)])
        self._context = context
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(MetricsCollector(context))
        self._server: HttpServer | None = None

    def start(self) -> None:
        config = self._context.config.current.api
        log = self._context.log.getChild("metrics")
        listener = bind(
            config.metrics_host,
            config.metrics_port,
            fallback=config.port_fallback,
            what="Metrics",
            log=log,
        )
        app, stopping = make_app(self._registry), self._context.stopping
        self._server = HttpServer(app, listener, "http-metrics", stopping)
        self._server.start()
        host, port = self._server.address
        self._context.require(Endpoints).publish("metrics", host, port)
        log.info("Metrics at %s/metrics", http_url(host, port))

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    def _alive(self) -> bool:
        return self._server is None or self._server.alive() or self._context.stopping.is_set()


def make_app(registry: CollectorRegistry) -> Starlette:
    """GET /metrics in the format that Accept asks for, nothing else."""

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        body = await run_in_threadpool(encode, registry)
        return Response(body, headers={"content-type": content_type})

    async def index(_request: Request) -> Response:
        return PlainTextResponse("mxrc metrics: /metrics\n")

    return Starlette(routes=[Route("/metrics", metrics), Route("/", index)])


def create(context: Context) -> Plugin:
    """See nonrt_process.plugins."""
    return MetricsPlugin(context)
