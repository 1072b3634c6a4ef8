"""What models cost, by name, with the date of the prices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skeleton_of_thought.usage import Usage

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of one model, per million tokens.

    Attributes:
        input: A prompt token.
        output: An answer token, thinking included.
        cache_read: A prompt token served by the provider's prompt cache; None for the price of `input`.
        cache_write: A prompt token written to it; None for the price of `input`.
        as_of: The date somebody looked.
        currency: What the prices are in, as an ISO code.

    Raises:
        ConfigurationError: A price is no number of at least 0.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    as_of: str = "unknown"
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name in ("input", "output", "cache_read", "cache_write"):
            price = getattr(self, name)
            optional = price is None and name.startswith("cache")
            if not optional and not (_is_number(price) and 0 <= price < inf):
                raise ConfigurationError(
                    f"The price {name} is {price!r}; it must be a number of at least 0, per million tokens."
                )

    def of(self, usage: Usage) -> float | None:
        """The money for so many tokens, in `currency`; None if a count is not known that costs something."""
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        prices = (self.input, self.output, read - self.input, write - self.input)
        paid = [(count, price) for count, price in zip(usage.counts, prices, strict=True) if price]
        if any(count is None for count, _ in paid):
            return None
        return sum((count or 0) * price for count, price in paid) / _MILLION


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Prices:
    """A table of prices by model name; a name also stands for its dated versions (`gpt-4o-mini-2024-07-18`).

    Args:
        table: Prices by name.

    Example:
        >>> from skeleton_of_thought import Usage
        >>> from skeleton_of_thought.prices import Price, Prices
        >>> prices = Prices({"my-model": Price(input=1.0, output=5.0)})
        >>> prices.of("my-model-2026-01-01").of(Usage(input_tokens=1000, output_tokens=200))
        0.002
    """

    def __init__(self, table: Mapping[str, Price]) -> None:
        self._table = dict(table)

    def of(self, model: str | None) -> Price | None:
        """The price of a model; None if it is not in the table."""
        names = [name for name in self._table if model == name or (model or "").startswith(f"{name}-20")]
        return self._table[max(names, key=len)] if names else None

    @classmethod
    def load(cls, path: str | Path | None = None) -> Prices:
        """The prices in a JSON file, by default those that come with this package.

        The file holds `{"as_of": "2026-06", "currency": "USD", "models": {name: {"input": ..., "output": ...,
        "cache_read": ..., "cache_write": ...}}}`, per million tokens.

        Raises:
            ConfigurationError: The file cannot be read, or is not such a table.
        """
        source: Any = files("skeleton_of_thought") / "data" / "prices.json" if path is None else Path(path)
        try:
            content = json.loads(source.read_text(encoding="utf-8-sig"))
            shared: dict[str, Any] = {"as_of": content["as_of"], "currency": content.get("currency", "USD")}
            return cls({name: Price(**price, **shared) for name, price in content["models"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigurationError) as error:
            raise ConfigurationError(
                f"{str(source)!r} is no table of prices ({type(error).__name__}: {error}); it needs as_of and "
                "models, each with input and output per million tokens."
            ) from error
