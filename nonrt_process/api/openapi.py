"""The OpenAPI document: every answer that an operation can give, and none that it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import compile_path

from nonrt_process.api.problems import ProblemDocument
from nonrt_process.problem_document import MEDIA_TYPE

CHANGES: Final = ("post", "put", "delete", "patch")
_OPEN: Final = "/health"
_ANY: Final = {
    "400": "Not an HTTP/1.1 request, or its body cannot be read",
    "431": "Request line and headers are too large",
}
_GUARDED: Final = {
    "403": "Host or origin is not this service's",
    "503": "RT process or store absent, or too many requests at once; Retry-After says when to "
    "try again",
}
_CHANGING: Final = {
    "401": "No token, or a wrong one",
    "413": "Body too large",
    "415": "Not application/json",
}
_RETRY_AFTER: Final = {
    "description": "Seconds after which to try again",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}


def document(app: FastAPI) -> dict[str, Any]:
    """OpenAPI with the errors as they are: problem documents, and those of server and guards."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    found = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = ProblemDocument.model_json_schema()
    for path, method, operation in _operations(found):
        responses = operation.setdefault("responses", {})
        for status, words in _common(path, method).items():
            responses.setdefault(status, {"description": words})
        if "422" in responses:
            responses["422"] = {"description": "Invalid request"}
        for status, response in responses.items():
            if status in ("429", "503"):
                response.setdefault("headers", {})["Retry-After"] = _RETRY_AFTER
            if int(status) >= 400:
                content = {"schema": {"$ref": "#/components/schemas/Problem"}}
                response.setdefault("content", {}).setdefault(MEDIA_TYPE, content)
    components.setdefault("securitySchemes", {})["bearer"] = {"type": "http", "scheme": "bearer"}
    app.openapi_schema = found
    return found


def allowed_methods(app: FastAPI, path: str) -> str:
    """Methods that a path knows, for the header Allow."""
    paths = document(app).get("paths", {})
    matching = [one for one in paths if compile_path(one)[0].match(path)]
    # /rt/processes is a path of its own, although /rt/{event} matches it, too.
    templates = [path] if path in matching else matching
    methods = {method.upper() for template in templates for method in paths[template]}
    return ", ".join(sorted(methods)) or "GET"


def _operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in found.get("paths", {}).items():
        for method, operation in methods.items():
            yield path, method, operation


def _common(path: str, method: str) -> dict[str, str]:
    common = dict(_ANY)
    if method in CHANGES:
        common |= _CHANGING
    if method in CHANGES or not path.startswith(_OPEN):
        common |= _GUARDED
    return common
