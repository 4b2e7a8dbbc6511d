"""Arrays that others look at without a copy: DLPack 1.0, by ctypes alone.

Its structs are at https://dmlc.github.io/dlpack/latest/c_api.html.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import math
from collections.abc import Callable
from ctypes import pythonapi
from dataclasses import dataclass
from typing import Any

import numpy as np

VERSION = (1, 0)
CPU = 1
"""Device type of host memory."""
CUDA = 2
"""Device type of memory of a CUDA card."""
_NAME, _NAME_VERSIONED = b"dltensor", b"dltensor_versioned"
_KINDS = {"i": 0, "u": 1, "f": 2}


class _Device(ctypes.Structure):
    _fields_ = (("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("dl_tensor", _Tensor), ("manager_ctx", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("dl_tensor", _Tensor),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
# Functions of our own: those of `pythonapi` are the whole process's.
_capsule_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _Destructor)(
    ("PyCapsule_New", pythonapi)
)
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_IsValid", pythonapi)
)
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", pythonapi)
)
# Of a capsule that is being freed: it must not be counted as an object again.
_dying_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", pythonapi)
)
_dying_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", pythonapi)
)

_handed_out: dict[int, tuple[Any, ...]] = {}
"""What consumers have taken and not let go of, by the address of its struct."""


def _let_go(address: int) -> None:
    _handed_out.pop(address, None)


def _drop(capsule: int) -> None:
    """Let go of what nobody has taken: whoever takes it gives the capsule another name."""
    for name in (_NAME, _NAME_VERSIONED):
        if _dying_is_valid(capsule, name):
            _let_go(_dying_pointer(capsule, name))


_delete = _Deleter(_let_go)
_drop_capsule = _Destructor(_drop)
# Whoever holds a tensor may outlive this module: what it was given stays then, and nothing is called.
_keep = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_IncRef", pythonapi))
for _kept in (_handed_out, _delete, _drop_capsule):
    _keep(_kept)


@atexit.register
def _stay() -> None:
    for managed, *_ in _handed_out.values():
        managed.deleter = None


class DeviceArray:
    """Numbers that lie on a device, row-major, for `torch.from_dlpack`, `jax.dlpack.from_dlpack` and others.

    `numpy.asarray(array)` copies them to host memory, or shows them, if they are there.
    """

    def __init__(
        self,
        address: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        device: tuple[int, int],
        owner: object,
        order: Callable[[int | None], None] | None = None,
        to_host: Callable[[int, int], bytes] | None = None,
    ) -> None:
        """Show what is at `address` of `device`; `owner` is kept alive as long as anybody looks at it.

        `order` makes a stream of the device wait until the numbers are there, `to_host` copies bytes from it.
        """
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.address = address
        self._owner = owner
        self._order = order
        self._to_host = to_host

    @property
    def nbytes(self) -> int:
        """Bytes of all numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        """Give the length of the first dimension."""
        return self.shape[0]

    def __repr__(self) -> str:
        """Describe it, without its numbers."""
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, device={self.device})"

    def __dlpack_device__(self) -> tuple[int, int]:
        """Tell where the numbers are: type of the device, and its number."""
        return self.device

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Give a capsule; work on `stream` waits for the numbers (-1: for nothing)."""
        if dl_device is not None and tuple(dl_device) != self.device:
            raise BufferError(f"the array is on device {self.device}, not on {dl_device}")
        if copy:
            raise BufferError("the array is given without a copy: copy what you get")
        if self._order is not None and stream != -1:
            self._order(stream)
        return _to_capsule(self, is_versioned=max_version is not None and max_version[0] >= VERSION[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Give the numbers in host memory; of a card, when they are there."""
        if self._to_host is not None:
            if copy is False:
                raise ValueError("numbers on a card are copied to host memory")
            data = self._to_host(self.address, self.nbytes)
            array = np.frombuffer(data, self.dtype).reshape(self.shape)
        else:
            shown = (ctypes.c_char * self.nbytes).from_address(self.address)
            # The array keeps this object, and with it the memory.
            shown._owner = self  # type: ignore[attr-defined]
            array = np.frombuffer(memoryview(shown), self.dtype).reshape(self.shape)
            array = array.copy() if copy else array
        return array if dtype is None else array.astype(dtype, copy=False)


@dataclass(frozen=True)
class Borrowed:
    """Another's array, as long as this is kept."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_contiguous: bool
    keeper: object


def borrow(array: Any, stream: int | None = None) -> Borrowed:
    """Take an array that has `__dlpack__`; work on `stream` waits until its numbers are there.

    Raise `BufferError` or `TypeError` if it cannot be had, or has numbers that NumPy does not.
    """
    options: dict[str, Any] = {} if stream is None else {"stream": stream}
    try:
        capsule = array.__dlpack__(max_version=VERSION, **options)
    except TypeError:
        # From before DLPack 1.0.
        capsule = array.__dlpack__(**options)
    if _is_valid(capsule, _NAME_VERSIONED):
        managed: Any = _ManagedVersioned.from_address(_pointer(capsule, _NAME_VERSIONED))
        if managed.major != VERSION[0]:
            raise BufferError(f"DLPack {managed.major}.{managed.minor}, expected {VERSION[0]}")
    else:
        managed = _Managed.from_address(_pointer(capsule, _NAME))
    tensor = managed.dl_tensor
    kinds = {code: kind for kind, code in _KINDS.items()}
    code, bits = tensor.dtype.code, tensor.dtype.bits
    if code not in kinds or bits % 8 or tensor.dtype.lanes != 1:
        raise BufferError(f"numbers of DLPack's type {code} with {bits} bits, expected integers or floats")
    shape = tuple(tensor.shape[: tensor.ndim]) if tensor.ndim else ()
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.ndim and tensor.strides else _strides(shape)
    is_contiguous = all(
        given == wanted
        for length, given, wanted in zip(shape, strides, _strides(shape), strict=True)
        if length > 1
    )
    dtype = np.dtype(f"{kinds[code]}{bits // 8}")
    return Borrowed((tensor.data or 0) + tensor.byte_offset, shape, dtype, is_contiguous, capsule)


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Elements from one index of each dimension to the next, of rows that follow one another."""
    inner = itertools.accumulate(reversed(shape[1:]), lambda a, b: a * b, initial=1)
    return tuple(reversed(list(inner)))[: len(shape)] if shape else ()


def _to_capsule(array: DeviceArray, *, is_versioned: bool) -> Any:
    dimensions = len(array.shape)
    shape = (ctypes.c_int64 * dimensions)(*array.shape)
    strides = (ctypes.c_int64 * dimensions)(*_strides(array.shape))
    dtype = _DataType(_KINDS[array.dtype.kind], 8 * array.dtype.itemsize, 1)
    tensor = _Tensor(array.address, _Device(*array.device), dimensions, dtype, shape, strides, 0)
    deleter = ctypes.cast(_delete, ctypes.c_void_p)
    managed = (
        _ManagedVersioned(*VERSION, None, deleter, 0, tensor)
        if is_versioned
        else _Managed(tensor, None, deleter)
    )
    address = ctypes.addressof(managed)
    _handed_out[address] = (managed, shape, strides, array)
    return _capsule_new(address, _NAME_VERSIONED if is_versioned else _NAME, _drop_capsule)
