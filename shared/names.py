"""Interned names: records carry small ids, the segment's two tables carry the texts.

Tables only grow, so that an id means the same as long as the generation lives. Needs no numpy.
"""

from __future__ import annotations

from typing import Final

from shared.core import MxrcError, ffi, from_text, lib, to_text
from shared.enums import Access, NameKind, RegionId
from shared.segment import Segment

NAME_BYTES: Final = int(lib.MXRC_NAME_BYTES)
"""Longer names are cut to NAME_BYTES - 1 bytes of UTF-8."""


class NamesFull(MxrcError):
    """The table of names has no room left."""


class Names:
    """The names of one generation.

    `resolve` may be called from any thread, `intern` from one at a time (the Non-RT process: its
    command port; an RT process: before it publishes the segment).
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._raw = segment.raw
        self._texts: dict[int, str] = {0: ""}
        self._ids: dict[tuple[int, str], int] = {}

    def intern(self, kind: NameKind, text: str) -> int:
        """Id (> 0) of a name, the same for the same kind and text.

        Raises:
            NamesFull: no room; the message says which limit it is.
            PermissionError: this process has attached for reading only.
        """
        key = (int(kind), text)
        known = self._ids.get(key)
        if known is not None:
            return known
        if self._segment.access == Access.READ:
            raise PermissionError(f"{self._segment.name} is attached for reading only")
        region = RegionId.NAMES_RT if self._segment.access == Access.RT else RegionId.NAMES_NONRT
        found = int(
            lib.mxrc_name_intern(self._raw, int(region), int(kind), from_text(text, NAME_BYTES))
        )
        if not found:
            raise NamesFull(
                f"{self._segment.name}: no room for the name {text!r} in {region.name}: it holds "
                f"{self.capacity(region)} names; restart the instance to begin with an empty table"
            )
        self._ids[key] = found
        return found

    def find(self, kind: NameKind, text: str) -> int | None:
        """Id of a name of the Non-RT table that was interned before; None: it was not.

        Unlike `intern` it takes up no room, whatever the texts that come in.
        """
        key = (int(kind), text)
        known = self._ids.get(key)
        if known is not None:
            return known
        for name_id in range(1, self.count(RegionId.NAMES_NONRT) + 1):
            entry = lib.mxrc_name_find(self._raw, name_id)
            if entry != ffi.NULL and entry.kind == int(kind) and to_text(entry.text) == text:
                self._ids[key] = name_id
                return name_id
        return None

    def resolve(self, name_id: int) -> str:
        """Text of an id; "" for 0, "#<id>" for one that the tables do not have."""
        known = self._texts.get(name_id)
        if known is not None:
            return known
        if not 0 < name_id < 1 << 32:
            return f"#{name_id}"  # from an argument of a log event: any number
        entry = lib.mxrc_name_find(self._raw, name_id)
        if entry == ffi.NULL:
            return f"#{name_id}"  # not cached: it may be interned later
        text = to_text(entry.text)
        self._texts[name_id] = text
        return text

    def capacity(self, region: RegionId) -> int:
        """Names that a table can hold."""
        return int(self._segment.pointer(region, "struct mxrc_names *").capacity)

    def count(self, region: RegionId) -> int:
        """Names that a table holds."""
        return int(self._segment.pointer(region, "struct mxrc_names *").count)
