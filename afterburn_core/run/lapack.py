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
_ARGUMENTS = {"sytrd": 10, "sterf": 4, "stein": 13, "stemr": 21, "ormtr": 13}


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


def tridiagonalise(matrix: Array, *, lower: bool, overwrite: bool = False) -> tuple[Array, Array, Array, Array]:
    """Reflectors (n, n), diagonal (n,), off-diagonal (n − 1,) and their scales of `G = Q T Qᵀ`.

    Args:
        matrix: symmetric (n, n), float32 or float64, n ≥ 2, C-contiguous.
        lower: which triangle of the reflectors is used.
        overwrite: whether the reflectors take the place of `matrix`, which is copied otherwise.
    """
    order, dtype = matrix.shape[0], matrix.dtype
    # the transpose, which symmetry makes the same, is column-major as it is: to turn it would cost a tenth of the work
    reflectors = matrix.T if overwrite else np.array(matrix.T, order="F")
    diagonal, off, scales = (np.empty(n, dtype=dtype) for n in (order, order - 1, order - 1))
    uplo, size = ("L" if lower else "U"), 64 * order
    _call("sytrd", dtype, uplo, order, reflectors, order, diagonal, off, scales, np.empty(size, dtype=dtype), size)
    return reflectors, diagonal, off, scales


def tridiagonal_values(diagonal: Array, off: Array) -> Array | None:
    """All eigenvalues, ascending, by the QL iteration; `None` where it does not converge."""
    values, rest = diagonal.copy(), off.copy()
    failed = _call("sterf", diagonal.dtype, len(values), values, rest)
    return None if failed else values


def tridiagonal_vectors(diagonal: Array, off: Array, values: Array) -> Array | None:
    """Eigenvectors (n, count) of the given eigenvalues, the largest, ascending; `None` where they are not found.

    Inverse iteration costs a quarter of what the relatively robust representations cost, which have to find the values
    once more. It can fail where values crowd; what it gave is therefore held against its definition, and the other
    method asked where that does not hold.
    """
    vectors = _inverse_iteration(diagonal, off, values)
    if vectors is not None and _are_eigenvectors(diagonal, off, values, vectors):
        return vectors
    return _robust_vectors(diagonal, off, len(values))


def _inverse_iteration(diagonal: Array, off: Array, values: Array) -> Array | None:
    order, count, dtype = len(diagonal), len(values), diagonal.dtype
    vectors = np.zeros((order, count), dtype=dtype, order="F")
    blocks, ends = np.ones(order, dtype=np.int32), np.full(order, order, dtype=np.int32)
    work, integers, failures = np.empty(5 * order, dtype=dtype), np.empty(order, dtype=np.int32), np.empty_like(ends)
    failed = _call(
        "stein", dtype, order, diagonal, off, count, np.ascontiguousarray(values), blocks, ends, vectors, order, work,
        integers, failures,
    )  # fmt: skip
    return None if failed else vectors


def _are_eigenvectors(diagonal: Array, off: Array, values: Array, vectors: Array) -> bool:
    """Whether T v = λ v and VᵀV = 1 hold to a few hundred units of roundoff: `False` for NaN."""
    image = diagonal[:, None] * vectors
    image[:-1] += off[:, None] * vectors[1:]
    image[1:] += off[:, None] * vectors[:-1]
    size = float(np.abs(diagonal).max() + np.abs(off).max(initial=0.0))
    tolerance = 256 * float(np.finfo(diagonal.dtype).eps)
    residual = float(np.abs(image - vectors * values).max())
    skew = float(np.abs(vectors.T @ vectors - np.eye(len(values))).max())
    return residual <= tolerance * size and skew <= tolerance


def _robust_vectors(diagonal: Array, off: Array, count: int) -> Array | None:
    """The same by multiple relatively robust representations."""
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
