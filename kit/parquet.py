"""Parquet files: names, number of rows, and pieces as pandas reads them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def column_names(path: Path) -> list[str]:
    """The columns as pandas gives them; an index that was stored along is none."""
    import pyarrow.parquet as pq

    return _names(pq.read_schema(path))


def count_rows(path: Path) -> int:
    """Rows, by the file's own record."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def one_string(value: Any) -> Any:
    """A cell that holds several values as one string; any other as it is."""
    if isinstance(value, list):
        return " | ".join(str(item) for item in value)
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, dict) else value


def joined(frame: pd.DataFrame, schema: Any) -> pd.DataFrame:
    """A frame read with a schema of arrow, lists and tables in its cells as one string each."""
    import pyarrow as pa

    nested = {field.name for field in schema if pa.types.is_nested(field.type)}
    for name in frame.columns:
        if str(name) in nested:
            cells = [one_string(v.tolist() if hasattr(v, "tolist") else v) for v in frame[name]]
            frame[name] = cells
            frame[name] = frame[name].astype("str").where(frame[name].notna())
    return frame


def read(source: Any) -> pd.DataFrame:
    """The whole of a file, open or by its path."""
    import pandas as pd
    import pyarrow.parquet as pq

    return joined(pd.read_parquet(source), pq.read_schema(source))


def pieces(
    path: Path, rows: int, as_text: Collection[str], columns: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Frames of at most `rows` rows, every value as `pandas.read_parquet` gives it for the whole.

    Args:
        path: the file.
        rows: rows per piece.
        as_text: columns that are kept as strings, as they are spelled.
        columns: those to read.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        schema, names = file.schema_arrow, list(columns)
        text = [name for name in names if name in as_text]
        # pandas reads whole numbers of which some are missing as decimals, and spells them so
        gaps = [name for name in text if pa.types.is_integer(schema.field(name).type)]
        gaps = [name for name in gaps if file.read([name])[name].null_count]
        done = 0
        for batch in file.iter_batches(rows, columns=names):
            table = pa.table(batch)
            for name in gaps:
                column = table[name].cast(pa.float64(), safe=False)
                table = table.set_column(table.schema.get_field_index(name), name, column)
            piece = joined(table.to_pandas(types_mapper=_types().get)[names], schema)
            for name in text:
                piece[name] = piece[name].astype("str").where(piece[name].notna())
            piece.index = pd.RangeIndex(done, done + len(piece))
            done += len(piece)
            yield piece


def _types() -> dict[Any, Any]:
    import pandas as pd
    import pyarrow as pa

    text = pd.StringDtype(na_value=float("nan"))
    return {pa.string(): text, pa.large_string(): text}


def _names(schema: Any) -> list[str]:
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return [str(name) for name in schema.names if name not in index]
