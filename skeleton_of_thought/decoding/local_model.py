"""What LangChain's and LlamaIndex's local models have in common: the fields, the engine, the requests made of them.

Both frameworks want a pydantic class, which is why this is the one place here that needs pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from skeleton_of_thought.decoding.dtypes import check_dtype
from skeleton_of_thought.decoding.request import GenerationRequest
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.request import as_stops

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skeleton_of_thought.decoding import Engine

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "max_tokens")
"""Fields that a call may replace."""

_PER_CALL = ("soft_max_tokens", "suppress")


class LocalModel(BaseModel):
    """A model that runs on this machine; instances with the same model, dtype and device share one engine.

    Besides the options below, a call takes `soft_max_tokens` (after so many the text ends with its sentence) and
    `suppress` (strings that no token may have in it).

    Attributes:
        model: `"local"` for the packaged SmolLM2-135M-Instruct, a GGUF file, a folder, or the id of a model on the
            Hub.
        dtype: `"auto"`: on a CPU, the packaged model and GGUF files keep their file's precision, 4 bits for the
            packaged one; else bfloat16 where the chip computes in it, or float32. `"int4"` or `"int8"` (on a
            CPU), `"float32"`, `"bfloat16"`, `"float16"`.
        device: `"auto"` is CUDA, else MPS, else the CPU.
        revision: Branch, tag or commit of a Hub model.
        max_tokens: Most tokens to write, 512 unless set.
        temperature: 0 is greedy. None, as for the next four, is what the model's generation config says; a
            model without one decodes greedily.
        top_p: Sample among the most likely tokens that together have this probability.
        top_k: Sample among this many most likely tokens; 0 is no limit.
        min_p: Sample among tokens at least this fraction as likely as the most likely one.
        repetition_penalty: Above 1 makes tokens less likely that are already there.
        seed: Makes sampled texts repeatable.
        stop: Strings that end a text; the text is cut before them.
    """

    model: str = "local"
    dtype: str = "auto"
    device: str = "auto"
    revision: str | None = None
    max_tokens: int = Field(default=512, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)
    seed: int | None = None
    stop: list[str] | None = None

    _engine: Any = PrivateAttr(default=None)

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    per_call: ClassVar[tuple[str, ...]] = ("stop", *SAMPLING, *_PER_CALL)
    """What a call may be given."""

    @field_validator("dtype")
    @classmethod
    def _known_dtype(cls, dtype: str) -> str:
        return check_dtype(dtype)

    @classmethod
    def from_engine(cls, engine: Engine, *, model: str, **options: Any) -> Self:
        """A model on an engine of your own, which is loaded already.

        Args:
            engine: Decodes.
            model: What to call the model in traces and metadata.
            **options: The sampling options of the class.
        """
        made = cls(model=model, **options)
        made._engine = engine
        return made

    @property
    def engine(self) -> Engine:
        """The engine that decodes; the model is loaded on first use."""
        return self._engine_of(self.model)

    @property
    def occupancy(self) -> float:
        """How full the engine's batch is, waiting requests included: 0 is idle, from 1 on new ones wait."""
        engine = self._engine_there(self.model)
        return 0.0 if engine is None else engine.occupancy

    def token_ids(self, text: str) -> list[int]:
        """Token ids of a text, by the model's own tokenizer."""
        ids: list[int] = self.engine.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _engine_of(self, model: str) -> Engine:
        """The engine of a model, loaded if need be."""
        from skeleton_of_thought.decoding import get_engine

        if (engine := self._engine_there(model)) is not None:
            return engine
        return get_engine(model, dtype=self.dtype, device=self.device, revision=self.revision)

    def _engine_there(self, model: str) -> Engine | None:
        """The engine of a model, if it need not be loaded."""
        from skeleton_of_thought.decoding import find_engine

        if self._engine is not None and model == self.model:
            own: Engine = self._engine
            return own
        return find_engine(model, dtype=self.dtype, device=self.device, revision=self.revision)

    def _request(
        self, prompt: Mapping[str, Any], stop: Sequence[str] | str | None, options: dict[str, Any]
    ) -> GenerationRequest:
        """What a call asks of the engine.

        Args:
            prompt: The conversation or the token ids, under their names in `GenerationRequest`.
            stop: The call's own stop strings; None for those of the field.
            options: The call's other options.

        Raises:
            ConfigurationError: There is no such option.
        """
        if unknown := sorted(options.keys() - {*SAMPLING, *_PER_CALL}):
            raise ConfigurationError(
                f"{type(self).__name__} has no option {', '.join(unknown)}; a call takes {', '.join(self.per_call)}."
            )
        stops = as_stops(self.stop if stop is None else stop)
        return GenerationRequest(
            **prompt, stop=stops, **{name: getattr(self, name) for name in SAMPLING} | options
        )
