"""LAPACK routines that let other threads run meanwhile.

SciPy's wrappers in `scipy.linalg.lapack` keep the interpreter's lock: while one thread decomposes a matrix, the other
cannot begin its next product. The same routines are reached here through the pointers that `cython_lapack` offers, and
`ctypes` releases the lock for the call. Matrices are column-major; every array is contiguous.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_ARGUMENTS = {"sytrd": 10, "sterf": 4, "stemr": 21, "ormtr": 13}


@cache
def _routine(name: str, dtype: str) -> Callable[..., None]:
    from scipy.linalg import cython_lapack

    prefix = "s" if dtype == "float32" else "d"
    capsule = cython_lapack.__pyx_capi__[f"{prefix}{name}"]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    pointer = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * _ARGUMENTS[name])(pointer)


def _call(name: str, dtype: np.dtype[Any], *arguments: Any) -> int:
    """Calls a routine with everything by reference, and returns its `info`."""
    info = ctypes.c_int(0)
    kept = [_reference(argument, dtype) for argument in arguments]  # alive until the call returns
    _routine(name, dtype.name)(*(pointer for pointer, _ in kept), ctypes.addressof(info))
    return info.value


def _reference(argument: Any, dtype: np.dtype[Any]) -> tuple[int | None, Any]:
    if isinstance(argument, np.ndarray):
        return argument.ctypes.data, argument
    box: Any
    if isinstance(argument, str):
        box = ctypes.c_char(argument.encode())
    elif isinstance(argument, float):
        box = ctypes.c_float(argument) if dtype == np.float32 else ctypes.c_double(argument)
    else:
        box = ctypes.c_int(argument)
    return ctypes.addressof(box), box


def tridiagonalise(matrix: Array, *, lower: bool) -> tuple[Array, Array, Array, Array]:
    """Reflectors (n, n), diagonal (n,), off-diagonal (n − 1,) and their scales of `G = Q T Qᵀ`.

    Args:
        matrix: symmetric (n, n), float32 or float64, n ≥ 2; copied.
        lower: which triangle is read, and holds the reflectors afterwards.
    """
    order, dtype = matrix.shape[0], matrix.dtype
    reflectors = np.array(matrix, order="F")
    diagonal, off, scales = (np.empty(n, dtype=dtype) for n in (order, order - 1, order - 1))
    uplo, size = ("L" if lower else "U"), 64 * order
    _call("sytrd", dtype, uplo, order, reflectors, order, diagonal, off, scales, np.empty(size, dtype=dtype), size)
    return reflectors, diagonal, off, scales


def tridiagonal_values(diagonal: Array, off: Array) -> Array | None:
    """All eigenvalues, ascending, by the QL iteration; `None` where it does not converge."""
    values, rest = diagonal.copy(), off.copy()
    failed = _call("sterf", diagonal.dtype, len(values), values, rest)
    return None if failed else values


def tridiagonal_vectors(diagonal: Array, off: Array, count: int) -> Array | None:
    """Eigenvectors (n, count) of the largest eigenvalues, ascending; `None` where they are not found."""
    order, dtype = len(diagonal), diagonal.dtype
    values, rest = diagonal.copy(), np.append(off, dtype.type(0))
    found, eigen = np.zeros(1, dtype=np.int32), np.empty(order, dtype=dtype)
    vectors = np.zeros((order, count), dtype=dtype, order="F")
    support, accurate = np.empty(2 * count, dtype=np.int32), np.ones(1, dtype=np.int32)
    work, integers = np.empty(18 * order, dtype=dtype), np.empty(10 * order, dtype=np.int32)
    failed = _call(
        "stemr", dtype, "V", "I", order, values, rest, 0.0, 0.0, order - count + 1, order, found, eigen, vectors,
        order, count, support, accurate, work, len(work), integers, len(integers),
    )  # fmt: skip
    return None if failed or int(found[0]) != count else vectors


def turn_back(reflectors: Array, scales: Array, vectors: Array, *, lower: bool) -> Array:
    """Q times vectors (n, k) of the tridiagonal matrix."""
    order, count = vectors.shape
    turned = np.asfortranarray(vectors)
    size = 64 * max(order, count)
    _call(
        "ormtr", vectors.dtype, "L", "L" if lower else "U", "N", order, count, reflectors, order, scales, turned,
        order, np.empty(size, dtype=vectors.dtype), size,
    )  # fmt: skip
    return turned
