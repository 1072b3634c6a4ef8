import subprocess
import sys
import time
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import LexicalRouter, Router


def ask(text: str) -> list[Message]:
    return [Message("user", text)]


@pytest.fixture(scope="module")
def router() -> LexicalRouter:
    return LexicalRouter()


@pytest.mark.parametrize(
    "text",
    [
        "What are the main advantages of heat pumps over gas boilers?",
        "How can a small bakery attract more customers?",
        "Give me some tips for learning to swim as an adult.",
        "What are the differences between a violin and a viola?",
    ],
)
def test_lists_of_independent_points_go_to_a_skeleton(router: LexicalRouter, text: str) -> None:
    assert router.route(ask(text)).route == "sot"


@pytest.mark.parametrize(
    "text",
    [
        "Write a Python function that merges two sorted lists.",
        "What is 17 * 23?",
        "Who wrote Don Quixote?",
        "Write a short story about a lighthouse keeper.",
        "Translate into French: where is the station?",
        "Hello!",
        "Schreibe ein Gedicht über den Herbst.",
        "7×8=?",
    ],
)
def test_everything_else_is_answered_directly(router: LexicalRouter, text: str) -> None:
    assert router.route(ask(text)).route == "direct"


def test_a_follow_up_leans_on_the_answer_before_it(router: LexicalRouter) -> None:
    alone = ask("What about the second one?")
    after = [
        *ask("What are good ways to save energy?"),
        Message("assistant", "1. Insulate. 2. Turn off."),
        *alone,
    ]
    assert router.route(after).route == "direct"
    assert router.probability(after) < router.probability(alone)


def test_the_last_user_message_is_the_question(router: LexicalRouter) -> None:
    question = ask("What are the main advantages of heat pumps over gas boilers?")
    assert router.probability([Message("system", "You are kind."), *question]) == router.probability(question)


@pytest.mark.parametrize("messages", [[], ask(""), ask("  \n\t "), [Message("assistant", "Hello")]])
def test_no_question_is_direct_for_sure(router: LexicalRouter, messages: list[Message]) -> None:
    decision = router.route(messages)
    assert (decision.route, decision.confidence) == ("direct", 1.0)
    assert "no question" in decision.reason


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400))
def test_any_text_gets_a_decision_with_a_probability(text: str) -> None:
    explanation = LexicalRouter().explain(ask(text))
    assert 0.0 <= explanation.probability < 1.0
    assert 0.0 <= explanation.decision.confidence <= 1.0
    assert (explanation.decision.route == "sot") == (explanation.probability >= explanation.threshold)
    assert "\n" not in explanation.decision.reason


def test_an_explanation_adds_up(router: LexicalRouter) -> None:
    explanation = router.explain(ask("What are the main causes of inflation?"))
    from skeleton_of_thought.routing.linear import sigmoid

    total = explanation.bias + sum(item.log_odds for item in explanation.contributions)
    assert sigmoid(total) == pytest.approx(explanation.probability)
    sizes = [abs(item.log_odds) for item in explanation.contributions]
    assert sizes == sorted(sizes, reverse=True)
    loudest = max(explanation.contributions, key=lambda item: item.log_odds)
    assert loudest.feature in explanation.decision.reason


def test_the_threshold_decides(router: LexicalRouter) -> None:
    question = ask("What are the main causes of inflation?")
    assert LexicalRouter(threshold=1.0).route(question).route == "direct"
    assert LexicalRouter(threshold=0.0).route(ask("Hello!")).route == "sot"
    with pytest.raises(ConfigurationError, match=r"threshold=1\.5"):
        LexicalRouter(threshold=1.5)


def test_weights_that_are_none_are_refused(tmp_path) -> None:
    file = tmp_path / "weights.json"
    for content in ("", "[]", '{"bias": 1}', '{"bias": "x", "weights": {}, "threshold": 1, "about": {}}'):
        file.write_text(content)
        with pytest.raises(ConfigurationError, match="holds no router weights"):
            LexicalRouter(weights=file)
    with pytest.raises(ConfigurationError, match=r"missing\.json"):
        LexicalRouter(weights=tmp_path / "missing.json")


def test_fifty_words_take_less_than_a_millisecond(router: LexicalRouter) -> None:
    question = ask(
        "My grandmother has started to forget appointments and repeats the same stories, and my mother is worried. "
        "What are early signs of dementia, what else could explain the changes, and how can we talk about it with "
        "her without frightening her or making her feel that we no longer trust her judgement?",
    )
    assert 48 <= len(question[0].text.split()) <= 56
    assert median(router.route(question).seconds for _ in range(101)) < 0.001


def test_a_hundred_thousand_characters_cost_little_more(router: LexicalRouter) -> None:
    text = "Summarize this: " + "lorem ipsum dolor " * 5_600
    started = time.perf_counter()
    decision = router.route(ask(text))
    assert decision.route == "direct"
    assert time.perf_counter() - started < 0.05


async def test_async_says_the_same(router: LexicalRouter) -> None:
    question = ask("What are good ways to learn Italian?")
    decision = await router.aroute(question)
    assert isinstance(router, Router)
    assert (decision.route, decision.reason) == (router.route(question).route, router.route(question).reason)


@pytest.mark.slow
def test_neither_torch_nor_numpy_is_imported() -> None:
    program = (
        "import sys\n"
        "from skeleton_of_thought.messages import Message\n"
        "from skeleton_of_thought.routing import get_router\n"
        "get_router('auto').route([Message('user', 'What are the benefits of tea?')])\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
