"""Tiny random models of several architectures, and a tiny chat tokenizer, built here."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from skeleton_of_thought.decoding import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VOCABULARY = 320
END = 1
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "eos_token_id": END,
    "bos_token_id": None,
    "pad_token_id": None,
}
BUILDERS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "llama grouped-query": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, num_key_value_heads=2)),
    "qwen2 multi-query": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_key_value_heads=1)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=16)),
    "mistral, window 7": lambda: MistralForCausalLM(
        MistralConfig(**SHAPE, num_key_value_heads=2, sliding_window=7)
    ),
    "gemma3, mixed windows": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SHAPE,
            num_key_value_heads=1,
            head_dim=16,
            sliding_window=6,
            layer_types=["sliding_attention", "full_attention"],
        )
    ),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=512,
            bos_token_id=None,
            eos_token_id=END,
        )
    ),
}


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny matrices gain nothing from several threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def build(kind: str) -> Any:
    torch.manual_seed(0)
    model = BUILDERS[kind]().float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # so that texts depend on what came before
    return model


@pytest.fixture(scope="session")
def tiny_model() -> Callable[[str], Any]:
    """A random model by kind; the same object for every test."""
    return build


@pytest.fixture(scope="session")
def kinds() -> list[str]:
    return list(BUILDERS)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and a few merges, ChatML, no pad token, padding on the right."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        ["the user and the assistant write the answer", "日本語 naïve café 🤖"],
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|im_start|>", "<|im_end|>"],
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", chat_template=TEMPLATE, padding_side="right"
    )


@pytest.fixture(scope="session")
def alone(tiny_model: Callable[[str], Any]) -> Callable[[str, tuple[int, ...], int], list[int]]:
    """What transformers' own `generate` writes for one prompt, greedily."""

    @cache
    def generate(kind: str, prompt: tuple[int, ...]) -> list[int]:
        ids = torch.tensor([prompt])
        output = tiny_model(kind).generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False, pad_token_id=0
        )
        return output[0, len(prompt) :].tolist()

    return lambda kind, prompt, count: generate(kind, prompt)[:count]


@pytest.fixture
def engine(tiny_model: Callable[[str], Any], tokenizer: PreTrainedTokenizerFast) -> Iterator[Engine]:
    with Engine(tiny_model("llama grouped-query"), tokenizer, max_batch=8) as engine:
        yield engine
