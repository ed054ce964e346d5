"""The api plugin: collects the routers of all plugins and serves them, last of all."""

from __future__ import annotations

from nonrt_process.api import (
    datastore_router,
    handover_router,
    overrides_router,
    placement_router,
    rt_router,
    settings_router,
)
from nonrt_process.api.app import make_app
from nonrt_process.api.event_stream import StreamMetrics, Streams
from nonrt_process.context import Context
from nonrt_process.endpoints import http_url
from nonrt_process.http_server import HttpServer, ServerCheck, bind
from nonrt_process.interfaces import Endpoints, PluginList
from nonrt_process.plugins import Plugin
from shared.config.models.api import is_loopback
from shared.startup import Refused


class ApiPlugin(Plugin):
    """Serves HTTP on host, port of api.json."""

    def __init__(self, context: Context) -> None:
        streams = Streams(context.log.getChild("api"))
        super().__init__(
            "api",
            routers=[
                handover_router.make_router(context),  # before /rt/{event}
                rt_router.make_router(context),
                datastore_router.make_router(context, streams),
                settings_router.make_router(context),
                placement_router.make_router(context),
                overrides_router.make_router(context),
            ],
            health_checks=[ServerCheck("http_server", self._alive)],
            metrics=[StreamMetrics(streams)],
        )
        self._context = context
        self._server: HttpServer | None = None

    def start(self) -> None:
        context = self._context
        config = context.config.current
        log = context.log.getChild("api")
        if config.api_token is None and not is_loopback(config.api.host):
            raise Refused(
                f"{config.directory / 'api.json'}: $.host: found {config.api.host}: must be a "
                "loopback address unless a token is configured"
            )
        plugins = context.require(PluginList).plugins()
        routers = [router for plugin in plugins for router in plugin.routers]
        listener = bind(
            config.api.host,
            config.api.port,
            fallback=config.api.port_fallback,
            what="HTTP",
            log=log,
        )
        app = make_app(context, routers)
        self._server = HttpServer(app, listener, "http-api", context.stopping)
        self._server.start()
        host, port = self._server.address
        context.require(Endpoints).publish("http", host, port)
        log.info("HTTP at %s/", http_url(host, port))

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    def _alive(self) -> bool:
        return self._server is None or self._server.alive() or self._context.stopping.is_set()


def create(context: Context) -> Plugin:
    """See nonrt_process.plugins."""
    return ApiPlugin(context)
