"""CSV (RFC 4180): a header line, a row per record, a column per axis and value."""

from __future__ import annotations

import csv
import io
from typing import BinaryIO

from shared.inspector.export.recording import Recording, flattened


def write(recording: Recording, file: BinaryIO, what: str) -> None:
    """what: cycles, events or spans."""
    columns = flattened(recording, what)
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    text.detach()
