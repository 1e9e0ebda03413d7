"""Read one table from disk, whatever it is wrapped in: CSV, TSV, JSON records, parquet, zip, gz.

Where commas do not split a CSV file and semicolons or tabs clearly do, these are taken.

Owns: file formats, encodings, and names of columns (blanks around them are cut off). Values are not
interpreted beyond what pandas does; columns named in `as_text` stay exactly as they are spelled.
"""

from __future__ import annotations

import codecs
import io
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit import parquet
from kit.atomic import parse_records
from kit.errors import DataError, NoRecords
from kit.separators import HEAD, MISSING, Form, find_form

if TYPE_CHECKING:
    import pandas as pd

TABLE_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")

_LOST = "\ufffd"  # stands for bytes that are no letter
_DAMAGED = 0.1  # share of the letters beyond ASCII that may be lost before it is another encoding

# The longer ones first: that of UTF-16 begins like that of UTF-32.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip

_BYTES_PER_CELL = 6  # of a CSV file, comma included

# What readers raise on bytes that are not what the name says; RuntimeError: an encrypted zip.
_UNREADABLE = (
    ValueError, OSError, EOFError, KeyError, RuntimeError, NotImplementedError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def table_format(path: Path) -> str | None:
    """The format suffix of a table file (``"train.csv.zip"`` -> ``".csv"``), None for others.

    Of a plain ``"train.zip"`` the one table inside tells.
    """
    if path.suffix.lower() == ".zip" and not _named_format(path) and path.is_file():
        return _named_format(Path(_member(path).filename))
    return _named_format(path)


def _named_format(path: Path) -> str | None:
    suffixes = [s.lower() for s in path.suffixes]
    while suffixes and suffixes[-1] in (".zip", ".gz"):
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in TABLE_SUFFIXES else None


def read_table(
    path: Path, *, as_text: Collection[str] = (), nrows: int | None = None
) -> pd.DataFrame:
    """Read a table.

    Args:
        path: the file. A zip may hold one table (and rubbish such as `__MACOSX`).
        as_text: columns kept as strings exactly as spelled; only an empty cell is missing there.
        nrows: read at most so many rows (JSON and what is packed is read whole, then cut).

    Returns:
        A frame with a fresh 0..n-1 index. Lists in JSON and parquet become one string, parts
            joined by " | ".

    Raises:
        DataError: the file is missing, empty, truncated, not readable, separated by something
            else than its name says and not clearly so, or two columns have the same name once
            blanks are cut off.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist. `kit data` brings the files.")
    with _readable(path):
        frame = _READERS[table_format(path) or ".csv"](path, as_text, nrows)
    frame.columns = _clean(path, [str(c) for c in frame.columns])
    if nrows is not None:
        frame = frame.head(nrows)
    return frame.reset_index(drop=True)


def read_chunks(
    path: Path,
    rows: int,
    *,
    as_text: Collection[str] = (),
    columns: Collection[str] | None = None,
) -> Iterator[pd.DataFrame]:
    """Read a table piece by piece; CSV, TSV and parquet are never in memory as a whole.

    Args:
        path: the file, as for `read_table`.
        rows: rows per piece.
        as_text: see `read_table`.
        columns: only these, in the order of the file; None: all.

    Yields:
        Frames of at most `rows` rows; the index goes on from one to the next.

    Raises:
        DataError: as for `read_table`; where a later piece is broken, when it is reached.
    """
    if _is_plain_parquet(path):
        with _readable(path):
            spelled = parquet.column_names(path)
            pairs = list(zip(spelled, _clean(path, spelled), strict=True))
            own = [one for one, name in pairs if columns is None or name in columns]
            kept = [one for one, name in pairs if name in as_text]
            for part in parquet.pieces(path, rows, kept, own):
                yield part.rename(columns=str.strip)
        return
    if table_format(path) not in (".csv", ".tsv", None) or not path.is_file():
        whole = read_table(path, as_text=as_text)
        whole = whole if columns is None else whole[[c for c in whole.columns if c in columns]]
        yield from (whole[start : start + rows] for start in range(0, len(whole), rows))
        return
    with _readable(path):
        encoding = _encoding(path)
        header = _header(path, encoding)
        names = _clean(path, header)
        text = [spelled for spelled, name in zip(header, names, strict=True) if name in as_text]
        options = {**_as_text(header, text), "chunksize": rows}
        if columns is not None:
            options["usecols"] = [k for k, name in enumerate(names) if name in columns]
            names = [names[k] for k in options["usecols"]]
        with _csv(path, encoding, **options) as pieces:
            while (piece := _next(path, pieces)) is not None:
                piece.columns = names
                yield piece


def count_cells(path: Path) -> int:
    """Rows times columns: of parquet exactly, of plain CSV and TSV by the size of the file.

    0 for what can only be read as a whole (JSON, zip, gz), and for a file that is not there.
    """
    if _is_plain_parquet(path):
        with _readable(path):
            return parquet.count_rows(path) * len(parquet.column_names(path))
    plain = path.suffix.lower() in (".csv", ".tsv") and path.is_file()
    return path.stat().st_size // _BYTES_PER_CELL if plain else 0


def read_header(path: Path) -> list[str]:
    """The column names exactly as the file spells them, blanks included.

    Raises:
        DataError: as for `read_table`.
    """
    with _readable(path):
        if _is_plain_parquet(path):
            return parquet.column_names(path)
        if table_format(path) in (".csv", ".tsv", None):
            return _header(path, _encoding(path))
    return list(read_table(path, nrows=1).columns)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises into one message."""
    import pandas as pd

    try:
        yield
    except DataError:
        raise
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty: no header, no rows.") from None
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        named = _named_format(path) or (path.suffix if path.suffix == ".zip" else ".csv")
        raise DataError(
            f"{path} cannot be read as {named[1:]}: {reason}\n"
            "  It may be truncated or another format; fetch it again with `kit data --force`."
        ) from error


def _clean(path: Path, names: list[str]) -> list[str]:
    cleaned = [name.strip() for name in names]
    twice = sorted(name for name, times in Counter(cleaned).items() if times > 1)
    if twice:
        raise DataError(f"{path}: column names must differ, however these repeat: {twice}")
    return cleaned


def _read_delimited(path: Path, as_text: Collection[str], nrows: int | None) -> Any:
    encoding = _encoding(path)
    header = _header(path, encoding)
    text = {name for name in header if name.strip() in as_text}
    return _csv(path, encoding, **_as_text(header, text), nrows=nrows)


def _header(path: Path, encoding: str) -> list[str]:
    """The names pandas gives; refused where it would rename, or where another separator is used."""
    names = list(_csv(path, encoding, dtype=str, nrows=0).columns)
    spelled = _csv(path, encoding, header=None, dtype=str, na_filter=False, nrows=1).iloc[0]
    _clean(path, [name for name in spelled if name])  # pandas makes "a", "a" "a", "a.1"
    others = [mark for mark in ",;\t" if len(names) == 1 and mark in names[0]]
    if others:
        raise DataError(
            f"{path} looks separated by {others[0]!r}, however not all of its first rows have as "
            "many cells as its header.\n  Save it with commas as .csv, or with tabs as .tsv."
        )
    return names


def _as_text(header: Collection[str], text: Collection[str]) -> dict[str, Any]:
    """Options of `pandas.read_csv` that keep some columns as they are spelled."""
    if not text:
        return {}
    # "NA" or "None" is a legal label or id: there only the empty cell is missing
    missing = {name: [""] if name in text else list(MISSING) for name in header}
    return {"dtype": dict.fromkeys(text, "str"), "na_values": missing, "keep_default_na": False}


def file_encoding(path: Path) -> str:
    """How a CSV or TSV file is read: "utf-8-sig", "latin-1", or what its mark says.

    Raises:
        DataError: as for `read_table`.
    """
    with _readable(path):
        return _encoding(path)


def file_form(path: Path) -> Form:
    """What separates the cells of a file, and how its decimals are written.

    Raises:
        DataError: as for `read_table`.
    """
    if table_format(path) not in (".csv", ".tsv", None):
        return Form()
    with _readable(path):
        head = _bytes(path, HEAD)
    marked = (encoding for mark, encoding in _MARKS.items() if head.startswith(mark))
    text = head.decode(next(marked, "utf-8-sig"), "replace")
    if len(head) == HEAD:  # the last line may be torn
        text = text[: text.rfind("\n") + 1] or text
    return find_form(text, "\t" if table_format(path) == ".tsv" else ",")


def _encoding(path: Path) -> str:
    """What the byte order mark says; else UTF-8 where nearly all letters are, else Latin-1.

    Raises:
        DataError: zero bytes, which no text holds; in Latin-1 even they would be something.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    lost = letters = 0
    packed = path.suffix.lower() in (".zip", ".gz")
    with io.BytesIO(_bytes(path)) if packed else path.open("rb") as file:
        start = file.read(4)
        for mark, marked in _MARKS.items():
            if start.startswith(mark):
                return marked
        file.seek(0)
        while block := file.read(1 << 20):
            if b"\0" in block:
                raise DataError(
                    f"{path} holds zero bytes: it is no text, or UTF-16 without a byte order mark."
                    "\n  Save it as UTF-8."
                )
            text = decoder.decode(block)
            if not text.isascii():
                letters += len(text) - len(text.encode("ascii", "ignore"))
                lost += text.count(_LOST) - block.count(_LOST.encode())
    lost += bool(decoder.decode(b"", final=True))
    return "utf-8-sig" if lost <= _DAMAGED * letters else "latin-1"


def _next(path: Path, pieces: Any) -> pd.DataFrame | None:
    """The next piece of a file; None at its end."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            piece: pd.DataFrame | None = next(pieces, None)
        except pd.errors.ParserWarning as warning:
            raise DataError(f"{path}: the rows have more cells than the header") from warning
    return piece


def _csv(path: Path, encoding: str, **options: Any) -> Any:
    """A frame, or an iterator over frames with `chunksize`."""
    import pandas as pd

    # without index_col pandas makes the first column the index where rows are wider than the header
    form = file_form(path)
    parsed = {"sep": form.separator, "decimal": form.decimal}
    options = {**parsed, "low_memory": False, "index_col": False, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(
                _opened(path), encoding=encoding, encoding_errors="replace", **options
            )
        except pd.errors.ParserWarning as warning:
            raise DataError(f"{path}: the rows have more cells than the header") from warning


def _read_json(path: Path, as_text: Collection[str], nrows: int | None) -> pd.DataFrame:
    import pandas as pd

    text = _bytes(path).decode("utf-8-sig")
    records = parse_records(text, by_line=table_format(path) == ".jsonl")
    try:
        frame = pd.DataFrame(records)
    except ValueError as error:
        raise NoRecords(
            f"{path} holds no records, but {str(records)[:60]} ...\n  Write its rows into a .csv "
            "file, in a copy of the folder without this one."
        ) from error
    for name in frame.columns:
        if frame[name].map(lambda v: isinstance(v, list | dict)).any():
            frame[name] = frame[name].map(parquet.one_string)
        elif str(name).strip() in as_text:
            frame[name] = frame[name].map(lambda v: None if v is None or v != v else str(v))
    return frame


def _read_parquet(path: Path, as_text: Collection[str], nrows: int | None) -> pd.DataFrame:
    if nrows is not None and _is_plain_parquet(path):
        names = parquet.column_names(path)
        some = next(iter(parquet.pieces(path, max(1, nrows), (), names)), None)
        return parquet.read(path) if some is None else some
    frame = parquet.read(io.BytesIO(_bytes(path)) if path.suffix in (".zip", ".gz") else path)
    for name in frame.columns:
        if str(name).strip() in as_text:
            frame[name] = frame[name].astype("str").where(frame[name].notna())
    return frame


def _is_plain_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet" and path.is_file()


def _opened(path: Path) -> Any:
    """What `pd.read_csv` takes: the path itself, or the bytes of the one table in a zip."""
    return io.BytesIO(_bytes(path)) if path.suffix.lower() == ".zip" else path


def _bytes(path: Path, size: int = -1) -> bytes:
    """The first bytes of what a file holds, or all of them."""
    if path.suffix.lower() == ".gz":
        import gzip

        with gzip.open(path) as file:
            return file.read(size)
    if path.suffix.lower() != ".zip":
        with path.open("rb") as plain:
            return plain.read(size)
    with zipfile.ZipFile(path) as archive, archive.open(_member(path)) as member:
        return member.read(size)


def _member(path: Path) -> zipfile.ZipInfo:
    """The one table in a zip."""
    with zipfile.ZipFile(path) as archive:
        members = [
            info
            for info in archive.infolist()
            if _named_format(Path(info.filename)) and not _rubbish(info.filename)
        ]
    if len(members) != 1:
        raise DataError(
            f"{path}: one table is expected in the zip, however it holds "
            f"{[m.filename for m in members] or 'none'}"
        )
    return members[0]


def _rubbish(name: str) -> bool:
    parts = Path(name).parts
    return "__MACOSX" in parts or parts[-1].startswith(".")


_READERS = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".json": _read_json,
    ".jsonl": _read_json,
    ".parquet": _read_parquet,
}
