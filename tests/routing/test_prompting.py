import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import PromptingRouter
from skeleton_of_thought.routing.prompting import parse_letter
from skeleton_of_thought.usage import Usage


class Reply:
    usage = Usage(200, 2)

    def __init__(self, text: str) -> None:
        self.text = text


class Model:
    def __init__(self, text: str) -> None:
        self.text = text
        self.prompts: list[str] = []

    def __call__(self, messages):
        (message,) = messages
        self.prompts.append(message.text)
        return Reply(self.text)

    async def acomplete(self, messages):
        return self(messages)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", "A"),
        (" b.\n", "B"),
        ("**C**", "C"),
        ("(A)", "A"),
        ("A. A list of several points", "A"),
        ("B) because each step needs the one before", "B"),
        ("The answer is B.", "B"),
        ("Answer: C", "C"),
        ("My choice would be option A", "A"),
        ("I'd choose C, not A.", "C"),
        ('{"answer": "B"}', "B"),
        ("Option B fits, since it is not A or C", "B"),
        ("<think>Could be A, or B? Answer: A</think>\nC", "C"),
        ("<think>The answer is A", None),
        ("\\boxed{A}", "A"),
        ("А", "A"),  # Cyrillic
        ("Ｂ", "B"),
        ("答案是C", "C"),
        ("C\n\nIt asks for one fact.", "C"),
        ("A list of points would fit", None),
        ("A or B", None),
        ("The shape is A", "A"),
        ("Because of the calculation it must be B", "B"),
        ("", None),
        ("Sure! I can help with that.", None),
        ("D", None),
        ("A as the parts are independent", "A"),
        ("Абзац", None),
    ],
)
def test_the_letter_is_found_in_whatever_came_back(text: str, letter: str | None) -> None:
    assert parse_letter(text) == letter


@given(st.text())
def test_any_reply_is_parsed(text: str) -> None:
    assert parse_letter(text) in {"A", "B", "C", None}


@pytest.mark.parametrize(
    ("text", "route"), [("A", "sot"), ("B", "direct"), ("C", "direct"), ("Hm.", "direct")]
)
async def test_only_independent_points_go_to_a_skeleton(text: str, route: str) -> None:
    model = Model(text)
    sync = PromptingRouter(model).route([Message("user", "What are the risks of bees?")])
    native = await PromptingRouter(model, acomplete=model.acomplete).aroute([Message("user", "Why?")])
    threaded = await PromptingRouter(model).aroute([Message("user", "Why?")])
    assert {sync.route, native.route, threaded.route} == {route}
    assert sync.usage == native.usage == threaded.usage == Usage(200, 2)
    assert "What are the risks of bees?" in model.prompts[0]


def test_the_default_is_what_was_chosen_and_says_so() -> None:
    decision = PromptingRouter(Model("No idea."), default="sot").route([Message("user", "Why?")])
    assert (decision.route, decision.confidence) == ("sot", 0.5)
    assert "No idea." in decision.reason


async def test_nothing_asked_costs_nothing() -> None:
    model = Model("A")
    router = PromptingRouter(model, acomplete=model.acomplete)
    assert router.route([]).route == (await router.aroute([Message("user", " ")])).route == "direct"
    assert model.prompts == []


def test_a_long_question_is_cut_in_the_middle_and_braces_are_left_alone() -> None:
    model = Model("A")
    router = PromptingRouter(model)
    router.route([Message("user", "START {x} " + "filler " * 20_000 + " END")])
    router.route([Message("user", "One"), Message("assistant", "Two"), Message("user", "And {question}?")])
    assert len(model.prompts[0]) < 4_000
    assert "START {x}" in model.prompts[0]
    assert " END\n" in model.prompts[0]
    assert "follows an earlier answer" in model.prompts[1]
    assert "And {question}?" in model.prompts[1]


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="is no probability"):
        PromptingRouter(Model("A"), trust=7)
    with pytest.raises(ConfigurationError, match="perhaps"):
        PromptingRouter(Model("A"), default="perhaps")
