"""What weights may be kept in, by name: known before torch is imported."""

from __future__ import annotations

from typing import Final

from skeleton_of_thought.errors import ConfigurationError

FLOATS: Final = ("float32", "bfloat16", "float16")
QUANTISED: Final = ("int4", "int8")
DTYPES: Final = ("auto", *FLOATS, *QUANTISED)


def check_dtype(dtype: str) -> str:
    """The name, if it is one.

    Raises:
        ConfigurationError: It is none of `DTYPES`.
    """
    if dtype not in DTYPES:
        raise ConfigurationError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}.")
    return dtype
