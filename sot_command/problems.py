"""What went wrong, in the words of somebody who wants to go on."""

from __future__ import annotations

import errno
from pathlib import Path

from skeleton_of_thought.errors import SkeletonOfThoughtError

_NOT_WRITTEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT}
_FIXES = {
    401: "Check the key in OPENAI_API_KEY or ANTHROPIC_API_KEY.",
    403: "Check that the key may use this model.",
    404: "Check the name behind --model, and --base-url.",
    429: "The provider's rate limit is reached; wait a minute, or ask for fewer points with --max-points.",
}


def explain(error: Exception) -> str | None:
    """One paragraph with the fix; None for an error nobody foresaw, whose traceback is worth more."""
    if isinstance(error, SkeletonOfThoughtError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _NOT_WRITTEN and isinstance(error.filename, str | Path):
        return (
            f"{str(error.filename)!r} cannot be written: {error.strerror}. Choose a folder that can be, with --out "
            "if it was named there, else with the variable HOME, XDG_CACHE_HOME or XDG_DATA_HOME."
        )
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        fix = _FIXES.get(status, "This is the provider's answer; try again later." if status >= 500 else "")  # noqa: PLR2004
        return f"{_one_line(error)} {fix}".strip()
    if type(error).__module__.partition(".")[0] in {"openai", "anthropic"}:
        return f"{_one_line(error)} Check --base-url and the network."
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
