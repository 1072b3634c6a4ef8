"""Where an API is, and the key to it."""

from __future__ import annotations

import os
from urllib.parse import urlsplit, urlunsplit

from skeleton_of_thought.errors import ConfigurationError


def address_and_key(kind: str, model: str, base_url: str | None) -> tuple[str | None, str]:
    """The address of another server, if one is named, and the key.

    Both come from the environment where the caller does not name them: `OPENAI_BASE_URL` and `OPENAI_API_KEY`, or
    Anthropic's. A server of one's own may need no key.

    Raises:
        ConfigurationError: There is no key, and no server that may do without; or the address is none.
    """
    variable = kind.upper()
    base_url = base_url or os.environ.get(f"{variable}_BASE_URL")
    try:
        _ = urlsplit(base_url or "").port
    except ValueError as error:
        raise ConfigurationError(
            f"{variable}_BASE_URL, base_url or --base-url is no address ({error}); one looks like http://HOST:PORT/v1."
        ) from error
    key = os.environ.get(f"{variable}_API_KEY") or ("none" if base_url else None)
    if key is None:
        raise ConfigurationError(
            f"The model {kind}:{model} needs a key. Set {variable}_API_KEY, or give --base-url (in Python base_url) "
            "for a server without one."
        )
    return base_url, key


def without_password(address: str | None) -> str | None:
    """An address without the name and password in it, to be written down."""
    if address is None:
        return None
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
