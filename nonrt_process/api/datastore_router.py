"""The data store over HTTP."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from starlette.responses import Response

from nonrt_process.api.datastore_watch import Watch
from nonrt_process.api.event_stream import MEDIA_TYPE, EventStream, Streams
from nonrt_process.context import Context
from nonrt_process.interfaces import Problem, RtAbsent, TryAgain
from nonrt_process.problem_document import documented
from nonrt_process.process_info import rfc3339
from shared.anchors import Anchors
from shared.datastore import DataStore, DataStoreError, Key, NotWriter, UnknownKey, ValueRefused

Value = StrictBool | StrictInt | StrictFloat | StrictStr | list[StrictInt | StrictFloat]
KeyName = Annotated[str, Path(min_length=1, max_length=64)]


class UnknownKeyProblem(Problem):
    """No key of that name."""

    status, title = 404, "Unknown key"


class NotWriterProblem(Problem):
    """The other side writes that key."""

    status, title = 403, "Key is written by RT"


class ValueRefusedProblem(Problem):
    """Wrong type, or beyond the limits."""

    status, title = 422, "Value refused"


class UnreadableProblem(TryAgain):
    """Its writer died in the middle of a write."""

    title = "Value cannot be read now"


class TooManyStreams(TryAgain):
    """Every place is taken."""

    title = "Too many streams"


class NewValue(BaseModel):
    """Body of PUT."""

    model_config = ConfigDict(extra="forbid")

    value: Value


class Entry(BaseModel):
    """A key, its value and its rules."""

    key: str
    value: Value
    type: str
    unit: str
    writer: str = Field(description="rt or nonrt: the side that may write it")
    critical: bool
    min: float | None
    max: float | None
    written: str | None = Field(description="When; RFC 3339; null: never since the clean start")


class Entries(BaseModel):
    """All keys."""

    keys: list[Entry]


class StoreOfGeneration:
    """The DataStore of the segment in force; one writer at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._current: tuple[Any, DataStore, Anchors] | None = None

    def entries(self) -> list[dict[str, Any]]:
        """Every key that can be read."""
        store, anchors = self._open()
        found = []
        for key in store.keys.values():
            try:
                found.append(_entry(store, anchors, key))
            except DataStoreError:
                continue
        return found

    def entry(self, name: str) -> dict[str, Any]:
        """One key."""
        store, anchors = self._open()
        try:
            return _entry(store, anchors, store.key(name))
        except UnknownKey as error:
            raise UnknownKeyProblem(str(error)) from error
        except DataStoreError as error:
            raise UnreadableProblem(str(error)) from error

    def check_names(self, names: list[str]) -> None:
        """Raises UnknownKeyProblem; what cannot be known without RT is not refused."""
        if self._context.segment is None:
            return
        store, _ = self._open()
        for name in names:
            try:
                store.key(name)
            except UnknownKey as error:
                raise UnknownKeyProblem(str(error)) from error

    def write(self, name: str, value: Any) -> None:
        """Write a key of this side."""
        store, _ = self._open()
        try:
            with self._lock:
                store.write(name, value)
        except UnknownKey as error:
            raise UnknownKeyProblem(str(error)) from error
        except NotWriter as error:
            raise NotWriterProblem(str(error)) from error
        except ValueRefused as error:
            raise ValueRefusedProblem(str(error)) from error
        except DataStoreError as error:
            raise UnreadableProblem(str(error)) from error

    def _open(self) -> tuple[DataStore, Anchors]:
        segment = self._context.segment
        if segment is None:
            self._current = None
            raise RtAbsent("the data store is in the segment of the RT process: start mxrc-rt")
        current = self._current
        if current is None or current[0] is not segment:
            current = (segment, DataStore(segment), Anchors(segment))
            self._current = current
        return current[1], current[2]


def _entry(store: DataStore, anchors: Anchors, key: Key) -> dict[str, Any]:
    stored = store.read(key.name)
    definition = key.definition
    return {
        "key": key.name,
        "value": list(stored.value) if isinstance(stored.value, tuple) else stored.value,
        "type": definition.type,
        "unit": definition.unit,
        "writer": definition.writer,
        "critical": definition.critical,
        "min": definition.min,
        "max": definition.max,
        "written": rfc3339(anchors.realtime_ns(stored.time_ns)) if stored.time_ns else None,
    }


_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "Server-sent events without an end: `change` {key, value, type, unit, written, "
            "skipped}, `absent` while RT does not run, `end` with the reason"
        ),
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    },
    **documented(UnknownKeyProblem, TooManyStreams),
}


def make_router(context: Context, streams: Streams) -> APIRouter:
    """GET /api/v1/datastore and .../stream, GET and PUT /api/v1/datastore/{key}."""
    router = APIRouter(prefix="/api/v1/datastore", tags=["data store"])
    store = StoreOfGeneration(context)

    @router.get("", response_model=Entries)
    def list_keys() -> dict[str, Any]:
        """All keys with their values."""
        return {"keys": store.entries()}

    @router.get("/stream", response_class=Response, responses=_STREAM)
    async def watch_keys(
        keys: Annotated[
            str, Query(max_length=16_384, description="Names, separated by commas; none: all")
        ] = "",
        interval_ms: Annotated[int, Query(ge=50, le=60_000, description="Between two looks")] = 100,
        max_events: Annotated[
            int, Query(ge=0, le=1 << 31, description="End after so many; 0: go on")
        ] = 0,
    ) -> EventStream:
        """Values as they change, the first look gives all; `skipped` writes are left out."""
        names = [name.strip() for name in keys.split(",") if name.strip()]
        store.check_names(names)
        if streams.full():
            raise TooManyStreams(
                f"{streams.open} streams are open, there is room for no more: end one",
                retry_after_s=5,
            )
        watch = Watch(context, frozenset(names))
        return EventStream(
            streams, watch.look, context.stopping.is_set, interval_ms / 1000, max_events
        )

    @router.get("/{key}", response_model=Entry, responses=documented(UnknownKeyProblem))
    def read_key(key: KeyName) -> dict[str, Any]:
        """One key."""
        return store.entry(key)

    @router.put(
        "/{key}",
        response_model=Entry,
        responses=documented(UnknownKeyProblem, NotWriterProblem),
    )
    def write_key(key: KeyName, body: NewValue) -> dict[str, Any]:
        """Write a key whose writer is nonrt; 422 says what is allowed."""
        store.write(key, body.value)
        context.log.info("Data store: %s = %r over HTTP", key, body.value)
        return store.entry(key)

    return router
