"""Apache Parquet: typed columns, a list per row for the values of the axes."""

from __future__ import annotations

from typing import Any, BinaryIO

from shared.inspector.export.recording import Recording
from shared.inspector.missing import require


def write(recording: Recording, file: BinaryIO, what: str) -> None:
    """what: cycles, events or spans.

    Raises:
        PackageMissing: no pyarrow.
    """
    pyarrow: Any = require("pyarrow", "pyarrow", "parquet")
    parquet: Any = require("pyarrow.parquet", "pyarrow", "parquet")
    # Empty columns have no type to infer: those of an empty table become null columns.
    table = pyarrow.table({name: list(values) for name, values in recording.columns(what).items()})
    metadata = {
        "mxrc.instance": recording.instance,
        "mxrc.generation": str(recording.generation),
        "mxrc.axes": ",".join(recording.axes),
    }
    parquet.write_table(table.replace_schema_metadata(metadata), file)
