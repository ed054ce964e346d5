from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

import pytest

from rt_process.housekeeping import STOP_LIMIT_NS, TURN_S, Housekeeping
from rt_process.notify import watchdog_interval_ns
from shared.clock import FakeClock
from shared.enums import RtEvent
from tests.unit.rt_process.fakes import FakeBoard, FakeThread


@dataclass
class House:
    """Housekeeping among fakes."""

    watchdog_ns: int | None = None
    thread: FakeThread = field(default_factory=FakeThread)
    board: FakeBoard = field(default_factory=FakeBoard)
    clock: FakeClock = field(default_factory=FakeClock)
    signals: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    reloads: int = 0
    ready: int = 0
    promotions: int = 0

    def __post_init__(self) -> None:
        self.keeper = Housekeeping(
            self.thread,
            self.board,
            self.clock,
            self,
            document=lambda: {"pid": 1},
            reload=self.reload,
            next_signal=self.next_signal,
            say=self.said.append,
            on_ready=self.on_ready,
            on_promotion=self.on_promotion,
            watchdog_ns=self.watchdog_ns,
        )

    def notify(self, state: str) -> None:
        self.told.append(state)

    def reload(self) -> str:
        self.reloads += 1
        return "configuration unchanged"

    def on_promotion(self) -> None:
        self.promotions += 1

    def on_ready(self) -> None:
        self.ready += 1

    def next_signal(self, seconds: float) -> int | None:
        self.clock.sleep(seconds)
        return self.signals.pop(0) if self.signals else None

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.keeper.turn()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signals_stop_in_order(number: int) -> None:
    house = House(signals=[number])
    assert house.keeper.run()
    assert house.thread.posted == [RtEvent.STOP]
    assert "STOPPING=1" in house.told
    assert house.board.logged == [("MAIN_STOPPING", (number,))]


def test_stop_is_posted_again_while_the_mailbox_is_full_and_once_only() -> None:
    house = House(thread=FakeThread(busy_posts=3), signals=[signal.SIGTERM, signal.SIGTERM])
    assert house.keeper.run()
    house.turns(3)
    assert house.thread.posted == [RtEvent.STOP]


def test_a_thread_that_does_not_stop_is_given_up() -> None:
    house = House(thread=FakeThread(stuck=True), signals=[signal.SIGTERM])
    assert not house.keeper.run()
    assert sum(house.clock.sleeps) >= STOP_LIMIT_NS / 1e9


def test_ready_is_said_once_and_only_when_the_thread_moves() -> None:
    house = House(board=FakeBoard(frozen=True))
    house.turns(5)
    assert house.ready == 0
    assert "READY=1" not in house.told
    house.board.frozen = False
    house.turns(5)
    assert house.ready == 1
    assert house.told.count("READY=1") == 1


def test_the_watchdog_is_fed_only_while_the_thread_moves() -> None:
    house = House(watchdog_ns=1_000_000_000)
    seconds = 10
    house.turns(round(seconds / TURN_S))
    fed = house.told.count("WATCHDOG=1")
    assert fed >= seconds
    house.board.frozen = True
    house.turns(round(seconds / TURN_S))
    assert house.told.count("WATCHDOG=1") <= fed + 1
    house.board.frozen = False
    house.turns(round(2 / TURN_S))
    assert house.told.count("WATCHDOG=1") > fed + 1


def test_without_a_watchdog_nothing_is_fed() -> None:
    house = House()
    house.turns(100)
    assert "WATCHDOG=1" not in house.told


def test_hangup_reloads_and_publishes() -> None:
    house = House(signals=[signal.SIGHUP])
    house.turns(3)
    assert house.reloads == 1
    assert house.said == ["SIGHUP: configuration unchanged"]
    assert house.board.documents == [{"pid": 1}]
    assert house.told[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert house.told.count("READY=1") >= 1
    assert not house.thread.posted


def test_only_the_primary_adds_clock_anchors() -> None:
    house = House()
    house.turns(round(5 / TURN_S))
    assert 5 <= house.board.clock_updates <= 6
    standby = House(board=FakeBoard(primary=False))
    standby.turns(round(5 / TURN_S))
    assert standby.board.clock_updates == 0
    assert any(one.startswith("STATUS=STANDBY") for one in standby.told)


def test_the_main_thread_s_heartbeat_is_the_time_of_the_turn() -> None:
    house = House()
    house.turns(1)
    assert house.board.beat_at == house.clock.monotonic_ns()


def test_admin_requests_are_answered() -> None:
    requests: list[tuple[int, dict[str, Any]]] = [
        (1, {"operation": "reload"}),
        (2, {"operation": "fly"}),
    ]
    house = House(board=FakeBoard(requests=requests))
    house.turns(2)
    assert house.board.answered == [1, 2]
    assert house.reloads == 1
    assert len(house.board.documents[0]["admin"]) == 1
    first, second = house.board.documents[1]["admin"]
    assert house.board.documents[0]["admin"] == [first]
    assert (first["number"], first["ok"]) == (1, True)
    assert (second["number"], second["ok"]) == (2, False)
    assert "'fly'" in second["message"]


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "2000000"}, 1_000_000_000),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], interval: int | None) -> None:
    assert watchdog_interval_ns(environ) == interval


def test_steps_down_when_asked_and_says_so() -> None:
    house = House(board=FakeBoard(requests=[(1, {"operation": "step_down"})]))
    assert not house.keeper.run()
    assert house.keeper.stepping_down
    assert house.board.answered == [1]
    assert ("STEPPING_DOWN", ()) in house.board.logged
    assert not house.thread.posted  # STOP would end the work in order, and nobody would go on


def test_steps_down_when_the_segment_is_gone() -> None:
    house = House()
    house.turns(100)
    assert not house.keeper.stepping_down
    house.board.current = False
    assert not house.keeper.run()
    assert house.keeper.stepping_down
    assert [name for name, _ in house.board.logged] == ["SEGMENT_LOST"]


def test_a_stop_goes_on_without_the_segment() -> None:
    house = House(signals=[signal.SIGTERM])
    house.turns(1)
    house.board.current = False
    assert house.keeper.run()
    assert not house.keeper.stepping_down


@pytest.mark.parametrize("primary", [True, False])
def test_only_the_primary_watches(primary: bool) -> None:
    seen: list[int] = []
    house = House(board=FakeBoard(primary=primary))
    house.keeper._watch = seen.append
    house.turns(5)
    assert len(seen) == (5 if primary else 0)


def test_a_standby_that_becomes_primary_says_so_at_once() -> None:
    house = House(board=FakeBoard(primary=False))
    house.turns(5)
    assert any(line.startswith("STATUS=STANDBY") for line in house.told)
    house.board.primary = True
    house.turns(1)
    assert house.promotions == 1
    assert house.told[-1].startswith("STATUS=PRIMARY")
    assert len(house.board.documents) == 1
    house.turns(5)
    assert house.promotions == 1


def test_a_primary_that_hands_over_is_not_promoted() -> None:
    house = House()
    house.turns(2)
    house.board.primary = False
    house.turns(1)
    assert house.promotions == 0
    assert house.told[-1].startswith("STATUS=STANDBY")


@pytest.mark.parametrize("refusal", ["", "no warm STANDBY has that pid"])
def test_hand_over_is_asked_of_the_thread_and_answered(refusal: str) -> None:
    house = House(thread=FakeThread(refusal=refusal))
    house.board.requests.append((3, {"operation": "handover", "to": 4711}))
    house.turns(1)
    assert house.thread.handed_over == [4711]
    assert house.board.answered == [3]
    admin = house.board.documents[-1]["admin"][-1]
    assert admin == {"number": 3, "ok": not refusal, "message": refusal or "handing over"}
