"""Weights from a PyTorch file, without PyTorch and without running what the file holds.

Both formats of `torch.save` are a pickle that names storages, and the storages' raw bytes. Of the
pickle only what builds dictionaries of tensors is allowed; everything else is refused, since a
pickle may otherwise call any function. Standard library and NumPy.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kit.errors import DataError

Weights = dict[str, NDArray[Any]]

_MAGIC = 0x1950A86A20F9469CFC6C  # of the format before PyTorch 1.6
_TYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ByteStorage": np.dtype("u1"),
}


class _Storage(NamedTuple):
    """What a tensor points into: filled when the raw bytes are known."""

    key: str
    dtype: np.dtype[Any]
    size: int


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_weights(path: Path) -> Weights:
    """Arrays by name from a file of `torch.save(model.state_dict())`, either format.

    Raises:
        DataError: the file is damaged, or holds anything else than a dictionary of tensors.
    """
    try:
        if zipfile.is_zipfile(path):
            named, blobs = _zipped(path)
        else:
            named, blobs = _legacy(path)
        if not isinstance(named, dict):
            raise pickle.UnpicklingError(f"it holds a {type(named).__name__}")
        tensors = {str(k): v for k, v in named.items() if isinstance(v, _Tensor)}
        return {name: _array(tensor, blobs) for name, tensor in tensors.items()}
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise _refused(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error) as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} must be a PyTorch file of named tensors (a state_dict): {error}.\n"
        "  It is damaged, or holds objects that kit does not load. Save the state_dict alone."
    )


class _Unpickler(pickle.Unpickler):
    """Builds dictionaries of `_Tensor`; any other class or function is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, size, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"it asks for a {kind}")
        return _Storage(str(key), dtype, int(size))


def _rebuilt(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _zipped(path: Path) -> tuple[Any, dict[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (record,) = [name for name in names if name.endswith("/data.pkl")]
        named = _Unpickler(io.BytesIO(archive.read(record))).load()
        folder = record.removesuffix("data.pkl") + "data/"
        return named, {n[len(folder) :]: archive.read(n) for n in names if n.startswith(folder)}


def _legacy(path: Path) -> tuple[Any, dict[str, bytes]]:
    """Magic number, version, platform, tensors, keys: five pickles; then the storages in order."""
    sizes: dict[str, int] = {}

    class Noting(_Unpickler):
        def persistent_load(self, pid: Any) -> _Storage:
            storage = super().persistent_load(pid)
            sizes[storage.key] = storage.dtype.itemsize
            return storage

    with path.open("rb") as file:
        if _Unpickler(file).load() != _MAGIC:
            raise pickle.UnpicklingError("it is no PyTorch file")
        for _ in range(2):
            _Unpickler(file).load()
        named = Noting(file).load()
        blobs = {}
        for key in _Unpickler(file).load():
            (count,) = struct.unpack("<q", file.read(8))
            blobs[str(key)] = file.read(count * sizes[str(key)])
    return named, blobs


def _array(tensor: _Tensor, blobs: dict[str, bytes]) -> NDArray[Any]:
    flat = np.frombuffer(blobs[tensor.storage.key], dtype=tensor.storage.dtype)
    last = tensor.offset + sum(
        (n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True)
    )
    if (
        min((0, *tensor.strides)) < 0
        or tensor.offset < 0
        or (0 not in tensor.shape and last >= len(flat))
    ):
        raise ValueError("a tensor reaches beyond its storage")
    strides = tuple(s * flat.itemsize for s in tensor.strides)
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides)
    return np.array(view)
