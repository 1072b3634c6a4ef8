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
