from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought.routing.training.near_duplicates import near_duplicates


def test_case_blanks_and_punctuation_do_not_hide_a_copy() -> None:
    (pair,) = near_duplicates(["How do I  bake bread?"], ["Nothing alike here", "how do i bake bread"])
    assert (pair.first, pair.second, pair.similarity) == (0, 1, 1.0)


def test_a_small_change_is_found_and_another_question_is_not() -> None:
    texts = [
        "What are the main causes of the First World War?",
        "What are the main causes of the Second World War?",
        "Write a haiku about the sea.",
    ]
    (pair,) = near_duplicates(texts)
    assert (pair.first, pair.second) == (0, 1)
    assert 0.5 < pair.similarity < 1.0


def test_pairs_come_once_and_the_closest_first() -> None:
    texts = ["one two three four five", "one two three four fine", "one two three four five"]
    pairs = near_duplicates(texts)
    assert (pairs[0].first, pairs[0].second) == (0, 2)
    assert len(pairs) == 3


def test_short_and_empty_texts_are_no_trouble() -> None:
    assert near_duplicates(["", "a"], ["b"]) == []
    assert len(near_duplicates(["hi"], ["Hi!"])) == 1


WORDS = st.lists(
    st.sampled_from(["how", "can", "we", "bake", "good", "bread", "at", "home", "now"]), max_size=7
).map(" ".join)


@given(
    st.lists(WORDS, max_size=8),
    st.none() | st.lists(WORDS, max_size=8),
    st.sampled_from([0.3, 0.5, 0.6, 0.9, 1]),
)
def test_no_pair_is_missed(texts, others, threshold) -> None:
    def shingles(text: str) -> set[str]:
        return {text[start : start + 5] for start in range(max(1, len(text) - 4))}

    second = texts if others is None else others
    alike = {
        (place, other)
        for place, text in enumerate(texts)
        for other, compared in enumerate(second)
        if (others is not None or other > place)
        and (common := shingles(text) & shingles(compared))
        and len(common) / len(shingles(text) | shingles(compared)) >= threshold
    }
    found = near_duplicates(texts, others, threshold=threshold)
    assert {(pair.first, pair.second) for pair in found} == alike
    assert len(found) == len(alike)
