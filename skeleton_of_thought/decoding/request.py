"""What is asked of the engine, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skeleton_of_thought.usage import Usage

FinishReason = Literal["stop", "length", "cancelled"]

DEFAULT_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One text to generate. Give either `messages` or `input_ids`.

    Every sampling field that is None takes the model's own default, from its generation config; a model
    without one decodes greedily.

    Attributes:
        messages: Conversation as dictionaries with `"role"` and `"content"`, both text.
        input_ids: The prompt as token ids, used as they are.
        continue_final_message: The last message is an assistant's unfinished answer: write on from there.
        max_tokens: Most tokens to generate.
        soft_max_tokens: After so many tokens the text ends with the sentence it is in.
        temperature: 0 is greedy decoding.
        top_p: Sample among the most likely tokens that together have this probability.
        top_k: Sample among this many most likely tokens; 0 is no limit.
        min_p: Sample among tokens at least this fraction as likely as the most likely one.
        repetition_penalty: Above 1 makes tokens less likely that the prompt or the text already has.
        seed: Makes a sampled text repeatable, whatever else is in the batch.
        stop: Strings that end the text; the text is cut before the first of them to be completed.
        suppress: No token with one of these strings in it is chosen.
        ignore_eos: Generate until `max_tokens` whatever the model says. For measurements.
    """

    messages: Sequence[Mapping[str, Any]] | None = None
    input_ids: Sequence[int] | None = None
    continue_final_message: bool = False
    max_tokens: int = DEFAULT_MAX_TOKENS
    soft_max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    suppress: Sequence[str] = ()
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        if (self.messages is None) == (self.input_ids is None):
            raise ConfigurationError("A GenerationRequest needs either messages or input_ids, and not both.")
        _strings("stop", self.stop)
        _strings("suppress", self.suppress)
        _in_range("max_tokens", self.max_tokens, 1, None)
        _in_range("soft_max_tokens", self.soft_max_tokens, 1, None)
        _in_range("temperature", self.temperature, 0, None)
        _in_range("top_p", self.top_p, 0, 1)
        _in_range("top_k", self.top_k, 0, None)
        _in_range("min_p", self.min_p, 0, 1)
        if self.repetition_penalty is not None and self.repetition_penalty <= 0:
            raise ConfigurationError(f"repetition_penalty is {self.repetition_penalty}; it must be above 0.")


def _strings(name: str, strings: Sequence[str]) -> None:
    """Refuse what is no sequence of strings, and empty strings."""
    if isinstance(strings, str):
        raise ConfigurationError(
            f"{name} must be a sequence of strings, such as ({strings!r},), not a string."
        )
    if not all(isinstance(text, str) and text for text in strings):
        raise ConfigurationError(f"{name} has an empty string or something that is no string: {strings!r}.")


def _in_range(name: str, value: float | None, low: float, high: float | None) -> None:
    """Refuse a number that is out of its range, or not a number."""
    if value is not None and not (value >= low and (high is None or value <= high)):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ConfigurationError(f"{name} is {value}; it must be {allowed}.")


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """A generated text.

    Attributes:
        text: The text, without the stop string and without the tokens that ended it.
        finish_reason: `"stop"` (the model, a stop string or `soft_max_tokens` ended it), `"length"` (`max_tokens`
            reached) or `"cancelled"` (then `text` is what had been written).
        usage: Tokens of the prompt, of the answer, and how many of the prompt's came from memory.
        seconds: From submission to the end, waiting included.
        token_ids: Every generated token, the end-of-sequence token included.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    seconds: float
    token_ids: tuple[int, ...] = ()
