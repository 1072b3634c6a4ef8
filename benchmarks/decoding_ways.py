"""The ways to write several texts with a local model that `decoding.py` compares, each as one function.

Every way gets the same prompts and writes exactly the same number of tokens for each.
"""

from __future__ import annotations

import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from skeleton_of_thought.decoding import GenerationRequest
from skeleton_of_thought.decoding.quantized import QuantizedLinear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llama_cpp import LlamaCpp

    from skeleton_of_thought.decoding import Engine

Conversation = list[dict[str, str]]
PAGE, PASS_TOKENS = 32, 1024  # of transformers' continuous batching, whose defaults are made for GPUs


@dataclass
class Steps:
    """What the passes of our engine took, told apart by what was in them.

    Attributes:
        decoding: Seconds of passes that only decode, with the rows in each.
        between: Seconds from the end of one such pass to the start of the next.
    """

    decoding: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    _last: float | None = None

    def watch(self, engine: Engine) -> None:
        """Time every pass of an engine from now on."""
        view = engine._worker.scheduler._view  # noqa: SLF001 (the benchmark looks inside, on purpose)
        run = view.run

        def timed(flat: Any) -> Any:
            start = time.perf_counter()
            logits = run(flat)
            end = time.perf_counter()
            if len(flat.tokens) == len(flat.last):
                self.decoding.append(end - start)
                if self._last is not None:
                    self.between.append(start - self._last)
                self._last = end
            else:
                self._last = None
            return logits

        view.run = timed  # type: ignore[method-assign]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Forget what is measured inside the block."""
        decoding, between = list(self.decoding), list(self.between)
        yield
        self.decoding, self.between, self._last = decoding, between, None

    def reset(self) -> None:
        """Forget what was measured."""
        self.decoding.clear()
        self.between.clear()
        self._last = None


class Ways:
    """All ways over one model.

    Args:
        model: The model, as transformers loads it.
        tokenizer: Its tokenizer.
        engine: Our engine over the same model.
        llama_cpp: llama.cpp with the same file; None leaves it out.
    """

    def __init__(self, model: Any, tokenizer: Any, engine: Engine, llama_cpp: LlamaCpp | None = None) -> None:
        self._llama_cpp = llama_cpp
        self._model = model
        self._tokenizer = tokenizer
        self.engine = engine
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0

    def named(self) -> dict[str, Callable[[Sequence[Conversation], int], None]]:
        """The ways by the name they have in the results."""
        ways: dict[str, Callable[[Sequence[Conversation], int], None]] = {
            "one after another": self.one_after_another,
            "padded generate": self.padded_generate,
            "ChatHuggingFace": self.chat_hugging_face,
            "continuous batching": self.continuous_batching,
            "ours": self.ours,
        }
        if self._llama_cpp is not None:
            ways["llama.cpp"] = self.llama_cpp
        return ways

    def prompt_tokens(self, prompt: Conversation) -> int:
        """How many tokens a prompt has."""
        return len(self._encode(prompt))

    def ours(self, prompts: Sequence[Conversation], tokens: int) -> None:
        """This project's engine, all requests at once, with nothing in memory from the run before."""
        scheduler = self.engine._worker.scheduler  # noqa: SLF001
        scheduler._tree.clear()  # noqa: SLF001
        requests = [
            GenerationRequest(messages=prompt, max_tokens=tokens, ignore_eos=True, temperature=0)
            for prompt in prompts
        ]
        for generation in self.engine.submit_many(requests):
            generation.result()

    def llama_cpp(self, prompts: Sequence[Conversation], tokens: int) -> None:
        """llama.cpp's server, all requests at once."""
        assert self._llama_cpp is not None
        self._llama_cpp.write([self._encode(prompt) for prompt in prompts], tokens)

    def one_after_another(self, prompts: Sequence[Conversation], tokens: int) -> None:
        """`generate` for one prompt at a time."""
        for prompt in prompts:
            self._generate([self._encode(prompt)], tokens)

    def padded_generate(self, prompts: Sequence[Conversation], tokens: int) -> None:
        """`generate` for all prompts, padded on the left, with the mask the paper's code lacks."""
        self._generate([self._encode(prompt) for prompt in prompts], tokens)

    def continuous_batching(self, prompts: Sequence[Conversation], tokens: int) -> None:
        """The continuous batching of transformers, with blocks small enough to share a prefix."""
        from transformers import ContinuousBatchingConfig

        encoded = [self._encode(prompt) for prompt in prompts]
        blocks = sum(-(-(len(ids) + tokens) // PAGE) for ids in encoded) + len(encoded)
        config = ContinuousBatchingConfig(
            page_size=PAGE, num_blocks=max(blocks, PASS_TOKENS // PAGE), max_batch_tokens=PASS_TOKENS
        )
        output = self._model.generate_batch(
            encoded,
            generation_config=GenerationConfig(
                max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0
            ),
            continuous_batching_config=config,
        )
        lengths = {len(each.generated_tokens) for each in output.values()}
        if lengths != {tokens}:
            raise RuntimeError(f"continuous batching wrote {sorted(lengths)} tokens, not {tokens}")

    def chat_hugging_face(self, prompts: Sequence[Conversation], tokens: int) -> None:
        """LangChain's `ChatHuggingFace` over a pipeline, through `batch`: threads, since it has no `abatch`."""
        from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
        from transformers import pipeline

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it passes arguments that transformers deprecates
            written = pipeline(
                "text-generation", model=self._model, tokenizer=self._tokenizer, return_full_text=False
            )
            llm = HuggingFacePipeline(
                pipeline=written, pipeline_kwargs={"generation_config": self._config(tokens)}
            )
            chat = ChatHuggingFace(llm=llm, tokenizer=self._tokenizer)
            inputs: list[Any] = [
                [(message["role"], message["content"]) for message in prompt] for prompt in prompts
            ]
            chat.batch(inputs)

    def _encode(self, prompt: Conversation) -> list[int]:
        return list(
            self._tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
        )

    def _generate(self, prompts: Sequence[list[int]], tokens: int) -> None:
        longest = max(map(len, prompts))
        ids = torch.tensor([[self._pad] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        device = self._model.device
        written = self._model.generate(
            ids.to(device), attention_mask=mask.to(device), generation_config=self._config(tokens)
        )
        if written.shape[1] != longest + tokens:
            raise RuntimeError(f"generate wrote {written.shape[1] - longest} tokens, not {tokens}")

    def _config(self, tokens: int) -> GenerationConfig:
        """Greedy, and exactly so many tokens."""
        return GenerationConfig(
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            eos_token_id=self._model.generation_config.eos_token_id,
            pad_token_id=self._pad,
        )


def floor(model: Any, engine: Engine, rows: int, runs: int = 20) -> dict[str, float]:
    """The least a step can take: the time to multiply so many rows with every matrix once, and to read them.

    Returns:
        `linear_seconds`, measured with the products as the engine has them; `bytes` of the weights in their
        precision; `bandwidth`, bytes per second of a sum over memory larger than any cache; `bandwidth_seconds`, the
        one over the other.
    """
    products = engine._worker.scheduler._view.products()  # noqa: SLF001
    inputs = {
        width: torch.randn(rows, width, dtype=model.dtype, device=model.device)
        for width in {width for _, width in products}
    }
    size = sum(
        module.codes.numel() + 4 * module.scale.numel()
        if isinstance(module, QuantizedLinear)
        else module.weight.numel() * module.weight.element_size()
        for module in model.modules()
        if isinstance(module, QuantizedLinear | torch.nn.Linear)
    )
    large = torch.zeros(256 << 20, dtype=torch.uint8, device=model.device).view(torch.int64)

    def multiply() -> None:
        for product, width in products:
            product(inputs[width])

    with torch.inference_mode():
        linear = min(_seconds(multiply, model.device) for _ in range(runs))
        read = min(_seconds(large.sum, model.device) for _ in range(runs))
    bandwidth = (256 << 20) / read
    return {
        "linear_seconds": linear,
        "bytes": size,
        "bandwidth": bandwidth,
        "bandwidth_seconds": size / bandwidth,
    }


def _seconds(function: Callable[[], Any], device: torch.device) -> float:
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
