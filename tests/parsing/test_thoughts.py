from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skeleton_of_thought.parsing.thoughts import ThoughtFilter, without_thoughts

THOUGHT = "The user asks about sleep.\n1. Not this\n2. Nor this"
TEXT = "Go to bed early.\n\nAnd get up at seven."

NOTATIONS = [
    ("<think>", "</think>"),
    ("<THINK>", "</THINK>"),
    ('<think time="3">', "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<analysis>", "</analysis>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<inner_monologue>", "</inner_monologue>"),
    ("<seed:think>", "</seed:think>"),
    ("<antThinking>", "</antThinking>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<unused94>thought\n", "<unused95>"),
    ("<|im_start|>think\n", "\n<|im_start|>answer\n"),
    ('<details type="reasoning" done="true">', "</details>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel|>commentary to=web <|constrain|>json<|message|>", "<|end|><|channel|>final<|message|>"),
    ("Thinking...\n", "\n...done thinking.\n\n"),
    ("analysis", "assistantfinal"),
    ("Here is my thought process:\n", "\nHere is my response:\n"),
    ("<think>", "</think>\n<answer>"),
    ("<think>", "\n<answer>"),
    ("<Thought>", "</Thought>\n<Output>"),
]
WORDS = ("Thinking...", "analysis", "Here is")  # known at the start of a text only


def run(text, cuts=(), *, inside=False):
    """The text let through, the stream cut at these places, and the filter."""
    thoughts = ThoughtFilter(inside=inside)
    shown = ""
    places = [0, *sorted({min(cut, len(text)) for cut in cuts}), len(text)]
    for begin, end in (*pairwise(places), (None, None)):
        before = thoughts.restarts
        piece = thoughts.finish() if begin is None else thoughts.feed(text[begin:end])
        shown = piece if thoughts.restarts > before else shown + piece
    return shown, thoughts


def clean(text, **options):
    whole, _ = run(text, **options)
    assert run(text, range(len(text)), **options)[0] == whole
    return whole


class TestThoughts:
    @pytest.mark.parametrize(("opening", "closing"), NOTATIONS)
    def test_before_the_text(self, opening, closing):
        assert clean(f"{opening}{THOUGHT}{closing}{TEXT}") == TEXT
        assert clean(f"{opening}{THOUGHT}{closing}\n\n{TEXT}") == TEXT
        assert clean(f"\n {opening}{THOUGHT}{closing.rstrip()} {TEXT}") == TEXT

    @pytest.mark.parametrize(("opening", "closing"), NOTATIONS)
    def test_nothing_is_taken_back_where_the_beginning_is_told(self, opening, closing):
        _, thoughts = run(f"{opening}{THOUGHT}{closing}{TEXT}", range(500))
        assert thoughts.restarts == 0
        assert not thoughts.unopened

    @pytest.mark.parametrize(
        ("opening", "closing"),
        [pair for pair in NOTATIONS if "nswer" not in pair[1] and not pair[0].startswith(WORDS)],
    )
    def test_in_the_text(self, opening, closing):
        if "utput" in closing:
            pytest.skip("a wrapper, which stands at the start")
        assert clean(f"Sleep more.\n{opening}{THOUGHT}{closing}\nRest.") == "Sleep more.\nRest."
        assert clean(f"Sleep more.\n\n{opening}hm{closing}\n\nRest.") == "Sleep more.\n\nRest."
        assert clean(f"Sleep more. {opening}hm{closing} Rest.") == "Sleep more. Rest."
        assert clean(f"Sleep more.{opening}hm{closing}") == "Sleep more."

    @pytest.mark.parametrize(("opening", "closing"), NOTATIONS)
    def test_never_closed(self, opening, closing):
        if opening.startswith("Here"):
            assert clean(opening + THOUGHT) == opening + THOUGHT
        else:
            assert clean(opening + THOUGHT) == ""

    @pytest.mark.parametrize(
        "closing", ["</think>", "</thinking>", "[/THINK]", "◁/think▷", "<|end_of_thought|>"]
    )
    @pytest.mark.parametrize("join", ["", "\n", "\n\n"])
    def test_opened_in_the_prompt(self, closing, join):
        text = f"First, sleep.{join}{closing}{join}{TEXT}"
        assert clean(text) == TEXT
        shown, thoughts = run(text, range(len(text)))
        assert shown == TEXT
        assert (thoughts.restarts, thoughts.unopened) == (1, True)

    @pytest.mark.parametrize(
        "start",
        ["Okay, the user ", "The user ", "Let me think.", "Alright, so the user ", "Okay, so I need to "],
    )
    def test_words_of_a_thinker_are_held_back(self, start):
        text = f"{start}wants sleep.\n</think>\n\n{TEXT}"
        shown, thoughts = run(text, range(len(text)))
        assert (shown, thoughts.restarts, thoughts.unopened) == (TEXT, 0, True)
        assert clean(f"{start}pays.") == f"{start}pays.", "nothing was closed: it was the text"

    def test_inside(self):
        text = f"{THOUGHT}</think>{TEXT}"
        thoughts = ThoughtFilter(inside=True)
        assert [thoughts.feed(letter) for letter in THOUGHT + "</think>"] == [""] * len(THOUGHT + "</think>")
        assert clean(text, inside=True) == TEXT
        assert clean(TEXT, inside=True) == TEXT, "it was no thought"
        assert clean(f"<think>{THOUGHT}</think>{TEXT}", inside=True) == TEXT

    def test_closed_twice(self):
        assert clean("No\n<think>hm</think>\nNo\n</think>\nYes") == "Yes"
        assert clean("<think>a<think>b</think>c</think>\nYes") == "Yes"

    def test_closed_at_the_end_only(self):
        assert clean("Sleep more.\n</think>") == "Sleep more.\n"
        assert clean("Sleep more.</think>\n \n") == "Sleep more."

    def test_the_indentation_of_the_next_line_stays(self):
        assert clean("- Sleep\n<think>hm</think>\n    - early") == "- Sleep\n    - early"
        assert clean("<think>hm</think>\n\n    - Sleep") == "    - Sleep"


TALK = [
    "What the <think> tag does.",
    "1. <think> tags hold thoughts.",
    "It writes `<think>` first.\n`</think>` comes later.",
    "Then comes the <|im_end|> token, as in `<|im_end|>`.",
    "```xml\nText.\n<think>\nhm\n</think>\n<answer>4</answer>\n```\nThat is all.",
    "Here:\n\n```\n<|im_start|>user\nHi<|im_end|>\n```\n\nSo it is.",
    "Here:\n~~~~\n```\n</think>\n~~~\n<|im_end|>\n~~~~\nSo it is.",
    "It costs <s>30</s> 20 euros.",
    "Use <output> and <response> elements.",
    "a < b, b <c and c > d. x[0] = [1, 2]; [THIN] [t",
    "The answer </answer> tag is old.",
    "Thinking... is hard.",
    "analysis is hard, and assistantfinal is no word.",
    "Analysis first.",
    "Okay, let me",
    "The user interface: keep it small.",
    "Let me know.",
    "",
    " ",
    "<",
    "`",
    "Ends with a tag <thi",
]


@pytest.mark.parametrize("text", TALK)
def test_text_stays_as_it_is(text):
    assert clean(text) == text


def test_text_is_let_through_at_once():
    thoughts = ThoughtFilter()
    for piece in (
        "Go",
        " to",
        " bed",
        ".",
        "\n",
        "\n",
        "- early",
        ", at 10",
        "; a",
        " < b",
        "; <b>",
        "x",
        "</b>",
    ):
        assert thoughts.feed(piece) == piece


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>Yes.</answer>", "Yes."),
        ("<answer>\nYes.\n</answer>\nI hope it helps.", "Yes.\n"),
        ("<response>Yes.</response>", "Yes."),
        ("Reasons.\n<answer>Yes.</answer>", "Yes."),
        ("<final_answer>Yes.", "Yes."),
        ("Yes.\n</answer>", "Yes.\n"),
        ("<think>hm</think><answer>Yes.</answer><|im_end|>", "Yes."),
        ("<answer></answer><answer>Yes.</answer>", "Yes."),
        ("<outline>No.</outline>\n<answer>Yes.</answer>", "Yes."),
        ("<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>Yes.<|end_of_solution|>", "Yes."),
        ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>", "Yes."),
    ],
)
def test_a_wrapper_is_taken_off(text, answer):
    assert clean(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes.<|im_end|>", "Yes."),
        ("Yes.<|im_end|>\n<|im_start|>user\nAnd now?", "Yes."),
        ("<|im_start|>assistant\nYes.<|eot_id|>No", "Yes."),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nYes.", "Yes."),
        ("Yes.<|start_header_id|>user<|end_header_id|>\n\nNo.", "Yes."),
        ("<s>Yes.</s>", "Yes."),
        ("[/INST] Yes. [INST] And now? [/INST] No", "Yes. "),
        ("<start_of_turn>model\nYes.<end_of_turn>\n<start_of_turn>user\nNo", "Yes."),
        ("<｜Assistant｜>Yes.<｜end▁of▁sentence｜>", "Yes."),
        ("Yes.<|pad|> No?", "Yes. No?"),
        ("Yes.\n<|endoftext|>Question: No", "Yes.\n"),
    ],
)
def test_control_tokens_and_the_next_turn(text, answer):
    assert clean(text) == answer


FRAGMENTS = st.sampled_from(
    [
        *(mark for pair in NOTATIONS for mark in pair),
        *(
            "<answer>",
            "</answer>",
            "<|im_end|>",
            "<|im_start|>user",
            "</s>",
            "<s>",
            "[INST]",
            "[/INST]",
            "<|x|>",
        ),
        *(
            "```",
            "````",
            "~~~",
            "`",
            "\n",
            "\n\n",
            "\r\n",
            " ",
            "    ",
            "- ",
            "1. ",
            "word",
            "Word.",
            ",",
            "<",
            "|>",
            "[",
        ),
        *(
            "Okay, the user ",
            "Thinking...",
            "analysis",
            "assistantfinal",
            "Here is my response:",
            "<|channel|>",
        ),
    ]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=3), max_size=16).map("".join)


@given(TEXTS, st.lists(st.integers(0, 200), max_size=12), st.booleans())
@example("x <|channel|>" + "a" * 130, [15], False)
def test_the_result_does_not_depend_on_the_pieces(text, cuts, inside):
    whole, thoughts = run(text, inside=inside)
    some, other = run(text, cuts, inside=inside)
    assert some == whole == run(text, range(len(text)), inside=inside)[0]
    assert thoughts.unopened == other.unopened
    if not inside:
        assert whole == without_thoughts(text)


@given(TEXTS)
def test_nothing_is_invented(text):
    letters = iter(text)
    assert all(letter in letters for letter in clean(text).replace("\n", ""))


@given(st.text(alphabet=st.characters(exclude_characters="<[◁`~")))
def test_text_without_marks_is_let_through_whole(text):
    assert clean("x" + text) == "x" + text


@pytest.mark.parametrize(
    "piece", ["<", "<think>", "</think>", "`", "```\n", "<|channel|>", "[", "a ", "<a ", "Okay, the user "]
)
@pytest.mark.parametrize("start", ["", "<think>", "x"])
def test_little_is_kept_waiting(piece, start):
    """Each call looks at what waits and what is new: if little waits, the work is linear in the text."""
    thoughts = ThoughtFilter()
    thoughts.feed(start)
    for _ in range(2000):
        thoughts.feed(piece)
        assert len(thoughts._pending) <= 202 + len(piece)
