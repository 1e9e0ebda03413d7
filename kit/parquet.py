"""Parquet files: names, number of rows, and pieces as pandas reads them."""

from __future__ import annotations

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
            piece = table.to_pandas(types_mapper=_types().get)[names]
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
