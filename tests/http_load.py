"""A light HTTP client for load: raw connections of asyncio, kept alive, many at once.

As a program of its own it takes little from what it measures:
    python -m tests.http_load HOST PORT --clients 32 --count 10000 --prefix task_a
prints one JSON object: what each request became, and what it took of CPU (cpu_us, each).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """status 0: none; `body` says why then."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class Connection(asyncio.Protocol):
    """One connection, one request at a time; made anew when the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[None] | None = None
        self._gone = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def open(self) -> None:
        self._gone = False
        self._buffer.clear()
        await asyncio.get_running_loop().create_connection(lambda: self, *self._address)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def ask(self, request: bytes) -> Answer:
        began = time.perf_counter()
        try:
            if self._transport is None or self._transport.is_closing():
                await self.open()
            assert self._transport is not None
            self._transport.write(request)
            status, headers, body = await self._answer()
        except OSError as error:
            self.close()
            return Answer(0, {}, repr(error).encode(), time.perf_counter() - began)
        if headers.get("connection") == "close":
            self.close()
        return Answer(status, headers, body, time.perf_counter() - began)

    async def _answer(self) -> tuple[int, dict[str, str], bytes]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self._more()
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:])
        headers = {name.lower(): value for name, value in pairs}
        size = end + 4 + int(headers.get("content-length", "0"))
        while len(self._buffer) < size:
            await self._more()
        body = bytes(self._buffer[end + 4 : size])
        del self._buffer[:size]
        return int(lines[0].split(" ", 2)[1]), headers, body

    async def _more(self) -> None:
        if self._gone:
            raise ConnectionResetError("the connection ended before the answer")
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting


def post(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
    return b"%sContent-Length: %d\r\n\r\n%s" % (head.encode(), len(body), body)


def start(task_id: str, key: str | None = None, **more: Any) -> bytes:
    body = json.dumps({"task_id": task_id, "mode": "once", **more}).encode()
    headers = "" if key is None else f"Idempotency-Key: {key}\r\n"
    return post("/api/v1/task/start", body, headers)


async def starts(
    host: str, port: int, task_ids: Sequence[str], clients: int, at_once: bool, **more: Any
) -> tuple[dict[str, Answer], float]:
    """Each task once, from `clients` connections; at_once: all of them connect first.

    Returns the answers by task id, and the seconds that it took.
    """
    connections = [Connection(host, port) for _ in range(clients)]
    if at_once:
        await asyncio.gather(*(one.open() for one in connections))
    answers: dict[str, Answer] = {}
    waiting = iter(task_ids)

    async def work(connection: Connection) -> None:
        for task_id in waiting:
            answers[task_id] = await connection.ask(start(task_id, **more))

    began = time.perf_counter()
    await asyncio.gather(*(work(one) for one in connections))
    seconds = time.perf_counter() - began
    for one in connections:
        one.close()
    return answers, seconds


def summary(answers: dict[str, Answer], seconds: float) -> dict[str, Any]:
    times = sorted(one.seconds for one in answers.values())
    refused = [one for one in answers.values() if one.status not in (0, 202)]
    return {
        "statuses": dict(Counter(str(one.status) for one in answers.values())),
        "seconds": seconds,
        "p50_ms": 1e3 * times[len(times) // 2],
        "p99_ms": 1e3 * times[len(times) * 99 // 100],
        "accepted": {
            name: json.loads(one.body)["execution_id"]
            for name, one in answers.items()
            if one.status == 202
        },
        "refused_without_retry_after": sum("retry-after" not in one.headers for one in refused),
        "refused_without_problem": sum(
            one.headers.get("content-type") != "application/problem+json" for one in refused
        ),
        "no_answer": [one.body.decode() for one in answers.values() if one.status == 0][:5],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--prefix", default="task_")
    parser.add_argument("--definition")
    parser.add_argument("--at-once", action="store_true")
    options = parser.parse_args()
    more = {} if options.definition is None else {"definition": options.definition}
    task_ids = [f"{options.prefix}{number}" for number in range(options.count)]
    cpu_s = time.process_time()
    answers, seconds = asyncio.run(
        starts(options.host, options.port, task_ids, options.clients, options.at_once, **more)
    )
    cpu_s = time.process_time() - cpu_s
    print(json.dumps({**summary(answers, seconds), "cpu_us": 1e6 * cpu_s / options.count}))


if __name__ == "__main__":
    main()
