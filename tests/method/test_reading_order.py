from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought.method.answer_stream import ReadingOrder

COUNT = 4
NEWS = st.lists(st.tuples(st.integers(1, COUNT), st.text(max_size=4) | st.none()), max_size=40)


@given(NEWS)
def test_what_comes_out_is_the_streams_one_after_the_other_as_early_as_possible(news):
    order = ReadingOrder(COUNT)
    texts = dict.fromkeys(range(1, COUNT + 1), "")
    is_open = set(texts)
    read = ""
    for index, text in [*news, *((index, None) for index in texts)]:
        if index not in is_open:
            continue
        if text is None:
            is_open.discard(index)
            read += order.close(index)
        else:
            texts[index] += text
            read += order.feed(index, text)
        first_open = min(is_open, default=COUNT)
        assert read == "".join(texts[n] for n in range(1, first_open + 1)), "all that may be read is read"
        assert order.current == min(is_open, default=COUNT + 1)
    assert read == "".join(texts.values())


def test_what_nobody_has_read_can_be_forgotten():
    order = ReadingOrder(2)
    order.feed(2, "wrong")
    order.discard(2)
    order.feed(2, "right")
    assert order.close(1) == "right"


def test_no_streams():
    assert ReadingOrder(0).current == 1
