"""State block and critical keys in a checkpoint are of one cycle, while RT goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.checkpoint_snapshot import TRIES, take
from shared.config import Config
from shared.core import lib
from shared.datastore import DataStore, Stored, encode
from shared.segment import Segment
from shared.state_block import read_block
from tests.unit.shared.executive import SteppedExecutive

PARTS, GRIPPER = "parts.placed", "gripper.closed"


@pytest.fixture
def stepped(rt: Segment, nonrt: Segment, config: Config) -> Iterator[SteppedExecutive]:
    executive = SteppedExecutive(rt, nonrt, config)
    yield executive
    executive.close()


class Cell:
    """RT sets both keys in each cycle: to its number, and to whether that is odd."""

    def __init__(self, stepped: SteppedExecutive) -> None:
        self._stepped = stepped
        self.store = DataStore(stepped.nonrt)

    def cycle(self) -> int:
        assert self._stepped.run(1) == 0
        block = read_block(self._stepped.rt)
        number = int(block.cycle)
        for name, value in ((PARTS, number), (GRIPPER, number % 2)):
            key = self.store.key(name)
            data = encode(key.type, value)
            time_ns = int(block.time_ns)
            raw = self._stepped.rt.raw
            assert not lib.mxrc_data_write(raw, key.handle, data, len(data), time_ns)
        return number


@pytest.mark.parametrize("disturbed", [0, 1, TRIES - 1])
def test_keys_are_of_the_cycle_of_the_state(
    stepped: SteppedExecutive, monkeypatch: pytest.MonkeyPatch, disturbed: int
) -> None:
    cell = Cell(stepped)
    cell.cycle()
    genuine, left = DataStore.read, [disturbed]

    def read(store: DataStore, name: str) -> Stored:
        """A cycle passes between the two keys."""
        stored = genuine(store, name)
        if name == GRIPPER and left[0] > 0:
            left[0] -= 1
            cell.cycle()
        return stored

    monkeypatch.setattr(DataStore, "read", read)
    content = take(stepped.nonrt, "test")
    assert content is not None
    number = content["rt_state"]["cycle"]
    snapshot = content["datastore_snapshot"]
    assert snapshot[PARTS]["value"] == number
    assert snapshot[GRIPPER]["value"] == bool(number % 2)
    assert left == [0]


def test_a_key_of_a_cycle_that_was_never_finished(stepped: SteppedExecutive) -> None:
    """RT died between the key and its state block: what there is is kept."""
    cell = Cell(stepped)
    number = cell.cycle()
    key = cell.store.key(PARTS)
    data = encode(key.type, 4711)
    assert not lib.mxrc_data_write(stepped.rt.raw, key.handle, data, len(data), 1 << 62)
    content = take(stepped.nonrt, "test")
    assert content is not None
    assert content["rt_state"]["cycle"] == number
    assert content["datastore_snapshot"][PARTS]["value"] == 4711
