"""Tokens to text: whole characters, exact stops, nothing taken back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from skeleton_of_thought.decoding.text import SentenceEnd, StopStrings, TextStream

LETTERS = st.text("abc", max_size=12)


def first_stop(text: str, stops: list[str]) -> str:
    """The definition, read off character by character: cut before the stop string that is complete first."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)]
    return text


@given(
    text=st.text("abc", max_size=30),
    cuts=st.lists(st.integers(0, 30)),
    stops=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
)
def test_stops_do_not_depend_on_how_the_text_is_cut(text: str, cuts: list[int], stops: list[str]) -> None:
    matcher = StopStrings(stops)
    given_out = ""
    edges = sorted({0, len(text), *(cut for cut in cuts if cut <= len(text))})
    for start, end in pairwise(edges):
        given_out += matcher.push(text[start:end])
        assert first_stop(text, stops).startswith(given_out)  # nothing of a stop string is ever given out
    given_out += matcher.end()
    assert given_out == first_stop(text, stops)
    assert matcher.found == (given_out != text)


@pytest.mark.parametrize(
    ("pieces", "stops", "expected"),
    [
        (["one\n", "\ntwo"], ["\n\n"], "one"),
        (["a 2", ".", " b"], ["2."], "a "),
        (["ab", "cd"], ["abcd", "c"], "ab"),  # the one that is complete first, though the other began before
        (["xy"], ["y", "xy"], ""),  # complete at the same character: the longer one
        (["no stop"], ["stop!"], "no stop"),
    ],
)
def test_stop_examples(pieces: list[str], stops: list[str], expected: str) -> None:
    matcher = StopStrings(stops)
    assert "".join(map(matcher.push, pieces)) + matcher.end() == expected


def feed(tokenizer: Tokenizer, tokens: list[int], **options) -> list[str]:
    stream = TextStream(tokenizer, **options)
    pieces = [stream.push(token) for token in tokens]
    return [*pieces, stream.end()]


@given(text=st.text(max_size=20))
def test_any_text_comes_out_whole_and_without_replacement_characters(tokenizer, text: str) -> None:
    backend = tokenizer._tokenizer
    pieces = feed(backend, backend.encode(text, add_special_tokens=False).ids)
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert all("\ufffd" not in piece for piece in pieces)


@given(text=st.text("né日🤖 a", min_size=1, max_size=8), left=st.integers(1, 6))
def test_a_character_that_is_not_complete_is_dropped_at_the_end(tokenizer, text: str, left: int) -> None:
    backend = tokenizer._tokenizer
    tokens = backend.encode(text, add_special_tokens=False).ids[:-left]
    found = "".join(feed(backend, tokens))
    assert text.startswith(found)
    assert found == backend.decode(tokens).rstrip("\ufffd")


def test_special_tokens_give_no_text(tokenizer) -> None:
    backend = tokenizer._tokenizer
    tokens = [0, *backend.encode("hi").ids, 1]
    assert "".join(feed(backend, tokens)) == "hi"


def test_a_stop_string_across_tokens_is_cut_exactly(tokenizer) -> None:
    backend = tokenizer._tokenizer
    tokens = backend.encode("the answer\n\n2. the user", add_special_tokens=False).ids
    stream = TextStream(backend, stop=["\n\n2."])
    for token in tokens:
        stream.push(token)
        if stream.stopped:
            break
    assert stream.text == "the answer"


def test_a_text_that_may_end_does_so_with_its_sentence(tokenizer) -> None:
    backend = tokenizer._tokenizer
    tokens = backend.encode("the user. The answer. The rest.", add_special_tokens=False).ids
    first = len(backend.encode("the user.", add_special_tokens=False).ids)
    for enough, expected in ((1, "the user."), (first + 1, "the user. The answer.")):
        stream = TextStream(backend, soft_max_tokens=enough)
        for token in tokens:
            stream.push(token)
            if stream.stopped:
                break
        stream.end()
        assert stream.text == expected


@pytest.mark.parametrize(
    ("context", "text", "expected"),
    [
        ("", "1. the user\n", "2."),
        ("", "9) the user\n\n", "10)"),
        ("", "**3.** the user\n", "**4."),
        ("1.", " the user\n", "2."),
        ("", "1. the user", ""),
        ("", "the user\n", ""),
        ("", "1. the user\nthe answer\n", ""),
        ("", "\n", ""),
        ("", "", ""),
    ],
)
def test_the_next_number_of_a_list_is_a_draft(tokenizer, context: str, text: str, expected: str) -> None:
    backend = tokenizer._tokenizer
    stream = TextStream(backend, context=backend.encode(context, add_special_tokens=False).ids)
    for token in backend.encode(text, add_special_tokens=False).ids:
        stream.push(token)
    assert backend.decode(stream.draft()) == expected


def test_an_answer_that_continues_a_text_keeps_its_leading_space() -> None:
    """Tokenizers in the manner of SentencePiece drop the space of the first word they decode."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(vocab_size=80, special_tokens=["<unk>"], show_progress=False)
    backend.train_from_iterator(["time blocking helps time blocking"], trainer)
    prompt = backend.encode("time").ids
    answer = backend.encode("time blocking helps").ids[len(prompt) :]
    assert "".join(feed(backend, answer)) == "blocking helps"
    assert "".join(feed(backend, answer, context=prompt)) == " blocking helps"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is here. Two is here.", "One is here."),
        ("One is here.", "One is here."),
        ("One is here", "One is here"),
        ("He said “enough.” Then he left.", "He said “enough.”"),
        ('He said "enough". Then he left.', 'He said "enough".'),
        ("**It works!** And more.", "**It works!**"),
        ("Is that so? Yes.", "Is that so?"),
        ("Pay 3.50 euros, e.g. for tea. More.", "Pay 3.50 euros, e.g. for tea."),
        ("Ask Dr. Miller first. Then go.", "Ask Dr. Miller first."),
        ("Nuts, beans etc. are cheap. More.", "Nuts, beans etc. are cheap."),
        ("Wait... what? No.", "Wait... what?"),
        ("你好。再见。", "你好。"),
        ("他说“好。”再见。", "他说“好。”"),
        ("no mark\nnext line", "no mark"),
        ("You need:\n- flour\n- eggs", "You need:\n- flour"),
    ],
)
def test_a_text_that_is_long_enough_ends_with_its_sentence(text: str, expected: str) -> None:
    for size in range(1, len(text) + 1):
        sentence = SentenceEnd()
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert "".join(sentence.push(piece, enough=True) for piece in pieces) + sentence.end() == expected
        assert sentence.found == (expected != text)


@given(text=st.text("ab.! \nX", max_size=40), cuts=st.lists(st.integers(0, 40)), enough=st.integers(0, 40))
def test_where_a_sentence_ends_does_not_depend_on_how_the_text_is_cut(
    text: str, cuts: list[int], enough: int
) -> None:
    """Read character by character from a moment on, or in larger pieces: the same text."""

    def read(edges: list[int]) -> str:
        sentence = SentenceEnd()
        given_out = ""
        for start, end in pairwise(edges):
            given_out += sentence.push(text[start:end], enough=start >= enough)
            assert text.startswith(given_out)
        return given_out + sentence.end()

    enough = min(enough, len(text))
    coarse = sorted({0, enough, len(text), *(cut for cut in cuts if cut <= len(text))})
    assert read(coarse) == read(sorted({0, enough, *range(enough, len(text) + 1)}))
