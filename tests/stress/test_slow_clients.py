"""Hostile clients hold neither the process nor the heartbeat, nor the starts of others."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.integration.test_nonrt_process import NonRt
from tests.processes import Place
from tests.stress.test_task_load import Watcher, check, load, running, show

HEAD = b"POST /api/v1/task/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CLIENTS = 60
"""Of each kind at a time."""


def slow_head(client: socket.socket) -> None:
    client.sendall(HEAD)
    while True:
        client.sendall(b"x-a: b\r\n")
        time.sleep(0.5)


def slow_body(client: socket.socket) -> None:
    client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
    while True:
        client.sendall(b" ")
        time.sleep(0.5)


def silent(client: socket.socket) -> None:
    client.recv(1)


def never_reads(client: socket.socket) -> None:
    while True:
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.05)


def huge_head(client: socket.socket) -> None:
    client.sendall(HEAD + b"x-a: " + b"y" * 1_000_000)
    client.recv(1)


def huge_body(client: socket.socket) -> None:
    client.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n" + b"y" * 5_000_000)
    client.recv(1)


KINDS = (slow_head, slow_body, silent, never_reads, huge_head, huge_body)


class Attack:
    """Each client connects again as soon as it is dropped."""

    def __init__(self, nonrt: NonRt) -> None:
        address = urlsplit(nonrt.urls()["http"])
        self._address = str(address.hostname), int(address.port or 0)
        self._ending = threading.Event()
        self.dropped: dict[str, int] = dict.fromkeys((kind.__name__ for kind in KINDS), 0)
        self._threads = [
            threading.Thread(target=self._run, args=(kind,), daemon=True)
            for kind in KINDS
            for _ in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, kind: Callable[[socket.socket], None]) -> None:
        while not self._ending.wait(0.2):
            try:
                with socket.create_connection(self._address, timeout=15) as client:
                    kind(client)
            except OSError:
                pass
            self.dropped[kind.__name__] += 1


@pytest.mark.timeout(400)
def test_starts_and_heartbeat_go_on(place: Place) -> None:
    with running(place) as nonrt:
        watcher, attack = Watcher(place, nonrt), Attack(nonrt)
        attack.start()
        time.sleep(2)
        watcher.start()
        try:
            one = load(nonrt, "--clients 8 --count 500")
            time.sleep(12)  # longer than a request may take: the slow ones are dropped meanwhile
        finally:
            seen = watcher.end()
            attack.end()
        show("500 starts", one)
        print(f"{seen}; connections dropped {attack.dropped}")
        check(place, nonrt, [one], 500)
        assert one["statuses"] == {"202": 500}
        assert watcher.states.keys() <= {"RUNNING", "READY"}, "the heartbeat never waited"
        assert watcher.health.keys() <= {200}
        assert all(attack.dropped.values()), "every kind of them is dropped"
