"""A model as the engine runs it: the same weights, with attention of our own."""

from __future__ import annotations

import copy
import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from skeleton_of_thought.decoding.attention import Fill, FlatPass
from skeleton_of_thought.decoding.fused import FusedDecoder, is_fusable
from skeleton_of_thought.decoding.memory import LayerShape, Layout, Segment, Slots
from skeleton_of_thought.decoding.packed import PackedLinear
from skeleton_of_thought.decoding.packed_groups import PackedGroups
from skeleton_of_thought.decoding.products import pack
from skeleton_of_thought.decoding.quantized import QuantizedLinear
from skeleton_of_thought.decoding.rows import DecodeRow
from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

logger = logging.getLogger(__name__)

_NAME = "skeleton_of_thought"
_UNSUPPORTED = ("softcap", "s_aux", "position_bias")  # arguments of attention functions that ours has not
_ELSEWHERE = (
    "Serve the model with another engine (vLLM, llama.cpp) and ask that as openai:NAME, with its base_url."
)
_ATTENTION_TYPES = {"full_attention", "sliding_attention"}
_CHANGING_ROPE = {"dynamic", "longrope"}  # their angles change when a text outgrows the original context


class ModelView:
    """Runs flat passes through a model without changing it.

    The view has its own modules and config and shares every weight with the caller's model; on a CPU its
    linear layers have packed weights of their own. Construction runs a short text through both and compares,
    so a model that the engine cannot serve is refused at once, not wrong later.

    Args:
        model: A transformers causal language model.

    Raises:
        ConfigurationError: The model's attention cannot be replaced, or needs what the engine has not.

    Attributes:
        context: Most tokens of prompt and answer; None if the model sets no limit.
        layout: The model's layers.
        windows: Whether some layers see only the latest tokens.
    """

    def __init__(self, model: Any) -> None:
        _check_config(model)
        shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        self._model = copy.deepcopy(model, shared).eval()
        self._model.set_attn_implementation(_NAME)
        self._fused: FusedDecoder | None = None
        self._device = _device_of(model.get_input_embeddings())
        self.context = _context(model.config)
        self.vocabulary: int = model.config.get_text_config().vocab_size
        recorder = _Recorder()
        with _shapes_alone(self._model):
            self._logits([1, 2], [0, 1], [1], recorder)
        _check_layers(model, recorder)
        self.layout = Layout(recorder.shapes)
        self.windows = any(recorder.windows.values())
        self._make_fast(model, recorder)

    def run(self, flat: FlatPass) -> Tensor:
        """Logits of the last token of each text in the pass (or of its last ones), shape `(texts, vocabulary)`."""
        return self._logits(flat.tokens, flat.positions, flat.last, flat)

    def products(self) -> list[tuple[Any, int]]:
        """Every product of a step, with how many inputs it has; for measurements."""
        if self._fused is not None:
            return self._fused.products()
        kinds = (torch.nn.Linear, PackedLinear, PackedGroups)
        modules = [module for module in self._model.modules() if isinstance(module, kinds)]
        return [(module, int(module.in_features)) for module in modules]

    @torch.inference_mode()
    def _logits(
        self, tokens: Sequence[int], positions: Sequence[int], last: Sequence[int], step: FlatPass | _Recorder
    ) -> Tensor:
        ids = torch.tensor([tokens], device=self._device)
        places = torch.tensor([positions], device=self._device)
        wanted = torch.tensor(last, device=self._device)
        if self._fused is not None:
            return self._fused.logits(ids, places, wanted, step)
        output = self._model(
            input_ids=ids, position_ids=places, use_cache=False, logits_to_keep=wanted, sot_step=step
        )
        logits: Tensor = output.logits[0]
        return logits if len(logits) == len(last) else logits[list(last)]

    def _make_fast(self, model: Any, recorder: _Recorder) -> None:
        """Lay the weights out, and see that the model still says what it said."""
        texts = self._texts()
        with torch.inference_mode():
            alone = model(input_ids=torch.tensor(texts, device=self._device), use_cache=False).logits[:, -2:]
        exact = alone.dtype == torch.float32 and not _is_quantized(self._model)
        alone = alone.flatten(0, 1).float()
        tolerance = 0.01 if exact else 0.2
        if is_fusable(self._model):
            self._fused = FusedDecoder(self._model, scales=recorder.scales, windows=recorder.windows)
            if self._error(texts, alone) <= tolerance:
                self._model = None
                return
            logger.warning("%s is not what it was: decoding it module by module", type(model).__name__)
            self._fused = None
        pack(self._model)
        error = self._error(texts, alone)
        if not error <= tolerance:
            raise ConfigurationError(
                f"{type(model).__name__} gives other results when its attention is replaced "
                f"(error {error:.3g} of the logits' spread), so this engine cannot serve it. {_ELSEWHERE}"
            )

    def _texts(self) -> list[list[int]]:
        """Two texts of equal length."""
        count = max(3, min(self.vocabulary, 50_000))
        return [[(7 + 31 * i) % count for i in range(13)], [(5 + 17 * i) % count for i in range(13)]]

    def _error(self, texts: Sequence[list[int]], alone: Tensor) -> float:
        """How far the last two tokens' logits of texts, in a fill and a step together, are from those alone.

        Args:
            texts: The texts.
            alone: The model's logits, shape `(2 * texts, vocabulary)`.

        Returns:
            The mean difference in units of the logits' spread.
        """
        slots = Slots(self.layout)
        slots.fit(0, 0, more=(2, 16))
        segments = []
        for text in texts:
            keys, values = self.layout.empty((), (len(text) - 1,))
            segments.append(Segment(text[:-1], keys=keys, values=values))
        first = self.run(
            FlatPass(self.layout, slots, [], [Fill(each, len(each.tokens), 0, ()) for each in segments])
        )
        for index, segment in enumerate(segments):
            slots.take(index, 0, segment, len(segment.tokens))
        rows = [DecodeRow(text[-1], len(text) - 1, len(text) - 1, ()) for text in texts]
        second = self.run(FlatPass(self.layout, slots, rows, []))
        together = torch.stack([first[0], second[0], first[1], second[1]]).float()
        return float((together - alone).abs().mean() / alone.std())


class _Recorder:
    """Plain causal attention over one text, which notes what each layer is like."""

    def __init__(self) -> None:
        self.shapes: dict[int, LayerShape] = {}
        self.windows: dict[int, int | None] = {}
        self.scales: dict[int, float | None] = {}
        self.options: set[str] = set()

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        self.shapes[layer] = LayerShape(key.shape[1], key.shape[3], value.shape[3], key.dtype, key.device)
        self.windows[layer] = window
        self.scales[layer] = scale
        out = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=True)
        return out.transpose(1, 2)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    *,
    sot_step: FlatPass | _Recorder,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The attention function transformers calls in every layer of a view."""
    if isinstance(sot_step, _Recorder):
        sot_step.options |= {name for name in _UNSUPPORTED if options.get(name) is not None}
    out = sot_step.attend(module.layer_idx, query, key, value, scale=scaling, window=sliding_window)
    return out, None


AttentionInterface.register(_NAME, _attend)


def _device_of(module: Any) -> torch.device:
    """Where a module's weights are, parameters or buffers."""
    device: torch.device = next(iter((*module.parameters(), *module.buffers()))).device
    return device


@contextmanager
def _shapes_alone(model: Any) -> Iterator[None]:
    """Let quantised layers give zeros of the right shape: making their weights takes longer than all the rest."""

    def zeros(layer: QuantizedLinear, inputs: Tensor) -> Tensor:
        return inputs.new_zeros(*inputs.shape[:-1], layer.out_features)

    layers: list[Any] = [module for module in model.modules() if isinstance(module, QuantizedLinear)]
    for layer in layers:
        layer.forward = partial(zeros, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _is_quantized(model: Any) -> bool:
    return any(isinstance(module, QuantizedLinear) for module in model.modules())


def _check_config(model: Any) -> None:
    name = type(model).__name__
    if not getattr(model, "_supports_attention_backend", False) or model.config.is_encoder_decoder:
        raise ConfigurationError(
            f"{name} does not let its attention be replaced, so this engine cannot serve it. {_ELSEWHERE}"
        )
    config = model.config.get_text_config()
    others = set(getattr(config, "layer_types", None) or ()) - _ATTENTION_TYPES
    if others or getattr(config, "attention_chunk_size", None):
        raise ConfigurationError(
            f"{name} has layers of type {', '.join(sorted(others)) or 'chunked_attention'} ({type(config).__name__}); "
            f"this engine serves full and sliding-window attention. {_ELSEWHERE}"
        )


def _check_layers(model: Any, recorder: _Recorder) -> None:
    name = type(model).__name__
    if recorder.options:
        raise ConfigurationError(
            f"{name} uses {', '.join(sorted(recorder.options))} in its attention, which this engine lacks. {_ELSEWHERE}"
        )
    types = getattr(model.config.get_text_config(), "layer_types", None) or ()
    wrong = [
        layer
        for layer, kind in enumerate(types)
        if (kind == "sliding_attention") != bool(recorder.windows.get(layer))
    ]
    if wrong and any(kind == "sliding_attention" for kind in types):
        raise ConfigurationError(
            f"{name} does not tell its attention the sliding window of layers {wrong}. {_ELSEWHERE}"
        )


def _context(config: Any) -> int | None:
    """Most tokens the model can hold."""
    text = config.get_text_config()
    limit: int | None = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    if rope.get("rope_type") in _CHANGING_ROPE:
        original: int | None = rope.get("original_max_position_embeddings")
        return original or limit
    return limit
