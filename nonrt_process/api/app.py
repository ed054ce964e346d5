"""The FastAPI application: routers of all plugins, guards, problems, the operator's page."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp

from nonrt_process.api.direct import Direct
from nonrt_process.api.guards import Guards
from nonrt_process.api.openapi import allowed_methods, document
from nonrt_process.api.problems import install
from nonrt_process.api.tracing import Tracing
from nonrt_process.context import Context
from nonrt_process.interfaces import ServerTracer
from shared.trace_context import sampling_threshold
from shared.version import package_version

PAGE = Path(__file__).with_name("page.html")
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_TASK_PATHS = "/api/v1/task"


def make_app(context: Context, routers: Iterable[APIRouter]) -> ASGIApp:
    """The whole application behind its middleware."""
    app = FastAPI(
        title="mxrc",
        version=package_version(),
        description="Health and control of a robot-control runtime. Errors are problem documents.",
        openapi_url=None,  # that one makes the text anew for each request
        docs_url=None,  # those pages load from other hosts
        redoc_url=None,
        redirect_slashes=False,
    )
    install(app, lambda path: allowed_methods(app, path))
    routers = list(routers)
    for router in routers:
        app.include_router(router)
    page = PAGE.read_text(encoding="utf-8")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def operators_page() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": PAGE_POLICY})

    @cache
    def openapi_text() -> bytes:
        return orjson.dumps(document(app))

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(openapi_text(), media_type="application/json")

    def api() -> Any:
        return context.config.current.api

    def token() -> str | None:
        secret = context.config.current.api_token
        return None if secret is None else secret.get_secret_value()

    def own_hosts() -> list[str]:
        return [api().host, *api().allowed_hosts]

    def threshold(path: str) -> int:
        tracing = context.config.current.tracing_config
        task = path.startswith(_TASK_PATHS)
        return sampling_threshold(tracing.task_sampling_rate if task else tracing.sampling_rate)

    guarded = Guards(
        Direct(app, routers),
        own_hosts=own_hosts,
        token=token,
        max_bytes=lambda: api().max_request_bytes,
    )
    return Tracing(guarded, tracer=lambda: context.get(ServerTracer), threshold=threshold)
