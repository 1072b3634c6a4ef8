"""Sampling: transformers' rules, one row's randomness untouched by its neighbours."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig
from transformers.generation import logits_process as theirs

from skeleton_of_thought.decoding import GenerationRequest
from skeleton_of_thought.decoding.sampling import Defaults, RowSampler, penalised

NOTHING = torch.tensor([], dtype=torch.long)


def sampler(prompt: tuple[int, ...] = (0,), **options) -> RowSampler:
    return RowSampler(GenerationRequest(input_ids=prompt, **options), Defaults(), prompt, suppressed=NOTHING)


def support(logits: torch.Tensor, **options) -> set[int]:
    """The tokens that can be drawn at all, by trying every quantile."""
    row = sampler(seed=1, **options)
    found = set()
    for quantile in torch.linspace(0, 1 - 1e-9, 2000, dtype=torch.float64):
        row._random = quantile
        found.add(row._draw(logits / options["temperature"]))
    return found


@pytest.fixture
def quantiles(monkeypatch) -> None:
    """Let a test say which uniform number is drawn."""
    monkeypatch.setattr(torch, "rand", lambda _shape, *, generator, dtype: generator)


@pytest.mark.usefixtures("quantiles")
@pytest.mark.parametrize("size", [40, 600])  # all tokens sorted at once, and not
@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 5},
        {"top_p": 0.5},
        {"top_p": 0.99},
        {"min_p": 0.1},
        {"top_k": 9, "top_p": 0.6},
        {"top_k": 9, "top_p": 0.9, "min_p": 0.2},
        {"top_p": 0},
        {},
    ],
    ids=str,
)
def test_the_tokens_that_can_be_drawn_are_those_transformers_leaves(size: int, options: dict) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(size, generator=generator) * 3
    scores = (logits / 0.8)[None]
    if options.get("top_k"):
        scores = theirs.TopKLogitsWarper(options["top_k"])(None, scores)
    if "top_p" in options:
        scores = theirs.TopPLogitsWarper(options["top_p"])(None, scores)
    if "min_p" in options:
        scores = theirs.MinPLogitsWarper(options["min_p"])(None, scores)
    allowed = scores[0].softmax(-1)
    found = support(logits, temperature=0.8, **options)
    assert found <= set(torch.nonzero(allowed).flatten().tolist())
    assert found >= set(torch.nonzero(allowed > 1e-3).flatten().tolist())


def test_how_often_each_token_is_drawn() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    row = sampler(temperature=1.0, seed=7)
    counts = Counter(row.choose(logits, 3) for _ in range(4000))
    for token, probability in enumerate(logits.softmax(-1).tolist()):
        assert counts[token] / 4000 == pytest.approx(probability, abs=0.03)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), penalty=st.floats(0.5, 3))
def test_repetition_penalty_is_transformers(seed: int, penalty: float) -> None:
    logits = torch.randn(2, 200, generator=torch.Generator().manual_seed(seed))
    rows = [
        sampler((3, 4, 4), repetition_penalty=penalty, temperature=0),
        sampler((7,), repetition_penalty=2 * penalty, temperature=0),
        sampler((3,), repetition_penalty=1, temperature=0),
    ]
    processors = [theirs.RepetitionPenaltyLogitsProcessor(factor * penalty) for factor in (1, 2)]
    texts = [[3, 4, 4], [7]]
    for _ in range(80):  # more tokens than there is room for at first
        scores = penalised(torch.cat([logits, logits[:1]]), rows)
        for row, text, processor, own, theirs_before in zip(
            rows, texts, processors, scores, logits, strict=False
        ):
            expected = processor(torch.tensor([text]), theirs_before[None])[0]
            assert torch.equal(own, expected)
            token = int(expected.argmax())
            assert row.choose(own, token) == token
            text.append(token)
        assert torch.equal(scores[2], logits[0])


def test_a_seed_repeats_and_its_absence_does_not() -> None:
    logits = torch.zeros(1000)
    first, again, other = (sampler(temperature=1.0, seed=seed) for seed in (5, 5, None))
    draws = [[row.choose(logits, 0) for _ in range(8)] for row in (first, again, other)]
    assert draws[0] == draws[1] != draws[2]


def test_a_seeded_text_does_not_depend_on_its_neighbours(engine) -> None:
    def request(seed: int) -> GenerationRequest:
        return GenerationRequest(
            input_ids=[5, 6, 7], temperature=1.0, seed=seed, max_tokens=15, ignore_eos=True
        )

    alone = engine.submit(request(1)).result().token_ids
    crowd = [
        generation.result().token_ids
        for generation in engine.submit_many([request(seed) for seed in range(6)])
    ]
    assert crowd[1] == alone
    assert len(set(crowd)) == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("no_repeat_ngram_size", 3),
        ("bad_words_ids", [[5]]),
        ("suppress_tokens", [5]),
        ("sequence_bias", [[[5], -10.0]]),
    ],
)
def test_what_the_engine_does_not_do_is_named(name: str, value: object, caplog) -> None:
    assert Defaults.of(GenerationConfig(**{name: value})) == Defaults()
    assert name in caplog.text


def test_defaults_come_from_the_generation_config(caplog) -> None:
    assert Defaults.of(GenerationConfig()) == Defaults()
    assert Defaults.of(GenerationConfig(temperature=0.6, do_sample=False)).temperature == 0
    config = GenerationConfig(do_sample=True, temperature=0.6, top_p=0.9, top_k=20, repetition_penalty=1.1)
    assert Defaults.of(config) == Defaults(0.6, 0.9, 20, 0.0, 1.1)
    assert Defaults.of(GenerationConfig(do_sample=True)).temperature == 1
    assert "the engine does not do" not in caplog.text
    row = RowSampler(
        GenerationRequest(input_ids=[1], top_p=0.5), Defaults.of(config), [1], suppressed=NOTHING
    )
    assert (row._temperature, row._top_p, row._top_k) == (0.6, 0.5, 20)
