"""Names and keys for compiling without a running instance."""

from __future__ import annotations

from collections.abc import Mapping

from shared.config.models.datastore import DataStoreConfig
from shared.datastore import Key, data_type
from shared.enums import NameKind


class ScratchNames:
    """A table of names in this process."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, str], int] = {}
        self._texts = [""]

    def intern(self, kind: NameKind, text: str) -> int:
        key = (int(kind), text)
        if key not in self._ids:
            self._ids[key] = len(self._texts)
            self._texts.append(text)
        return self._ids[key]

    def resolve(self, name_id: int) -> str:
        return self._texts[name_id] if 0 <= name_id < len(self._texts) else f"#{name_id}"


def scratch_keys(config: DataStoreConfig) -> Mapping[str, Key]:
    """Keys as a segment made from `config` has them."""
    return {key.name: Key(at, data_type(key), key) for at, key in enumerate(config.keys)}
