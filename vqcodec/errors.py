"""The error tree. What files, options and machines can cause is one of these, with a clear line that names the remedy.

Arguments of the wrong type raise Python's own errors, and lack of memory is a MemoryError, or torch's RuntimeError.

::

    VqcError
    ├── InputError              the input cannot be read, or is of a kind that we do not know
    ├── OutputError             the output cannot be written, or exists and force was not asked for
    ├── UsageError              options that contradict each other or are out of range
    ├── LimitError              larger than the limits allow (pixels, bytes of metadata ...)
    ├── ModelError
    │   ├── UnknownModelError   the file needs a model that is not installed
    │   └── SelfCheckError      this machine's arithmetic does not reproduce the model's check vector
    ├── MismatchError           the file does not hold what it was compared with
    ├── DeviceError             the device asked for is not there
    ├── WorkerDiedError         the process that did a file of a batch died
    └── DecodeError             the bytes are not a whole, valid .vqc file; .place says where
        ├── NotVqcError         wrong signature
        ├── UnsupportedVersionError   written by a newer format than this program knows
        ├── TruncatedError      the file ends early
        ├── ChecksumError       bytes were damaged
        └── CorruptError        a field breaks a rule of SPEC.md

VqcWarning, a UserWarning, says what cannot be kept of an input that is otherwise fine.
"""

from __future__ import annotations

__all__ = [
    "ChecksumError",
    "CorruptError",
    "DecodeError",
    "DeviceError",
    "InputError",
    "LimitError",
    "MismatchError",
    "ModelError",
    "NotVqcError",
    "OutputError",
    "SelfCheckError",
    "TruncatedError",
    "UnknownModelError",
    "UnsupportedVersionError",
    "UsageError",
    "VqcError",
    "VqcWarning",
    "WorkerDiedError",
]


class VqcError(Exception):
    """Base of every error that vqcodec raises on purpose."""

    exit_code = 1


class InputError(VqcError):
    """The input cannot be read, or is of a kind that we do not know."""

    exit_code = 3


class OutputError(VqcError):
    """The output cannot be written, or exists already."""


class UsageError(VqcError):
    """Options that contradict each other or are out of range."""

    exit_code = 2


class LimitError(VqcError):
    """Larger than the limits allow."""

    exit_code = 4


class ModelError(VqcError):
    """A model is missing or unusable."""


class UnknownModelError(ModelError):
    """The file needs a model that is not installed."""

    exit_code = 3


class SelfCheckError(ModelError):
    """This machine's arithmetic does not reproduce the model's check vector."""


class MismatchError(VqcError):
    """The file does not hold what it was compared with."""

    exit_code = 3


class DeviceError(VqcError):
    """The device asked for is not there."""


class WorkerDiedError(VqcError):
    """The process that did a file of a batch died."""


class DecodeError(VqcError, ValueError):
    """The bytes are not a whole, valid .vqc file.

    Args:
        message: what is wrong, without the place.
        place: where, in the terms of SPEC.md, e.g. ``"header.width"`` or ``"chunk 3"``.

    Attributes:
        remedy: what helps, where somebody on the error's way knows better than its kind tells; else nothing.
    """

    exit_code = 3
    remedy = ""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place


class NotVqcError(DecodeError):
    """Wrong signature."""


class UnsupportedVersionError(DecodeError):
    """Written by a newer format than this program knows."""


class TruncatedError(DecodeError):
    """The file ends early."""


class ChecksumError(DecodeError):
    """Bytes were damaged."""


class CorruptError(DecodeError):
    """A field breaks a rule of SPEC.md."""


class VqcWarning(UserWarning):
    """Something about the input cannot be kept; the work goes on."""
