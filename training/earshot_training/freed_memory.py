"""What the C library does with memory that tensors gave back."""

import ctypes
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the tensors that come next.

    By default it hands every large block back to the system, which gives it out again page by
    page, each set to zero: several hundred megabytes in every training step. Where the C library
    is another one, nothing changes.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)
