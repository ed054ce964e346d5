"""HTTP of the task definitions: add, list, look, replace, delete."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, status
from pydantic import BaseModel, Field

from nonrt_process.tasks.added import AddedDefinitions

_PROBLEM: Final = {"description": "Problem document"}
_REFUSALS: Final[dict[int | str, dict[str, Any]]] = dict.fromkeys((409, 422, 500), _PROBLEM)
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "As a file in config/tasks; JSON Schema: tasks.schema.json",
                }
            }
        },
    }
}
Key = Annotated[str, Path(max_length=63, description="Id or pattern of a definition")]


class Definition(BaseModel):
    """A task definition."""

    key: str = Field(description="Its id, or its pattern")
    source: Literal["file", "api"] = Field(description="A file in tasks/, or added over HTTP")
    document: dict[str, Any] = Field(description="Itself")
    error: str | None = Field(description="Why one that was added cannot be started any more")


class DefinitionPage(BaseModel):
    """A page of definitions, by key."""

    definitions: list[Definition]
    total: int = Field(description="Definitions in all pages")
    offset: int
    limit: int


async def _content(request: Request) -> bytes:
    """As it was sent: a key given twice is an error, as in a file."""
    return await request.body()


Content = Annotated[bytes, Depends(_content)]


def make_definition_router(added: AddedDefinitions) -> APIRouter:
    """Routes on the definitions. Handlers wait for the disk, so they run in the thread pool."""
    router = APIRouter(prefix="/api/v1", tags=["tasks"])

    @router.post(
        "/tasks",
        status_code=status.HTTP_201_CREATED,
        response_model=Definition,
        responses=_REFUSALS,
        openapi_extra=_BODY,
    )
    def add_definition(content: Content) -> dict[str, Any]:
        """Add a task definition, checked and compiled; it is on disk when the answer comes."""
        return asdict(added.add(content))

    @router.get("/task-definitions", response_model=DefinitionPage)
    def list_definitions(
        offset: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """Definitions of files and those added, by key."""
        listed = added.listed()
        return {
            "definitions": [asdict(one) for one in listed[offset : offset + limit]],
            "total": len(listed),
            "offset": offset,
            "limit": limit,
        }

    @router.get("/task-definitions/{key}", response_model=Definition, responses={404: _PROBLEM})
    def get_definition(key: Key) -> dict[str, Any]:
        """One definition."""
        return asdict(added.get(key))

    @router.put(
        "/task-definitions/{key}",
        response_model=Definition,
        responses=_REFUSALS,
        openapi_extra=_BODY,
    )
    def put_definition(key: Key, content: Content) -> dict[str, Any]:
        """Add or replace a definition that no active task runs."""
        return asdict(added.put(key, content))

    @router.delete(
        "/task-definitions/{key}",
        response_model=Definition,
        responses=dict.fromkeys((404, 409, 500), _PROBLEM),
    )
    def delete_definition(key: Key) -> dict[str, Any]:
        """Delete a definition that was added and that no active task runs."""
        return asdict(added.remove(key))

    return router
