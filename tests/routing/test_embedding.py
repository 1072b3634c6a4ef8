import asyncio

import pytest

from skeleton_of_thought.errors import ConfigurationError, MissingExtraError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import EmbeddingRouter, LexicalRouter, get_router, read_questions, sentences
from skeleton_of_thought.routing.embedding import LONGEST, Encoder
from skeleton_of_thought.routing.labels import shipped_questions
from skeleton_of_thought.routing.training.linear import train_embedding
from skeleton_of_thought.routing.training.metrics import evaluate

pytestmark = pytest.mark.torch


def ask(text: str) -> list[Message]:
    return [Message("user", text)]


@pytest.fixture(scope="module")
def router() -> EmbeddingRouter:
    return EmbeddingRouter()


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("What are the main advantages of heat pumps over gas boilers?", "sot"),
        ("In what ways can choirs keep their older members?", "sot"),
        ("Welche Vorteile haben Wärmepumpen?", "sot"),
        ("How do magnets lose their force when they are heated?", "direct"),
        ("Write a Python function that merges two sorted lists.", "direct"),
        ("Compose a ballad about a lost glove.", "direct"),
        ("What is 17 * 23?", "direct"),
        ("", "direct"),
    ],
)
def test_decisions(router: EmbeddingRouter, text: str, route: str) -> None:
    decision = router.route(ask(text))
    assert decision.route == route
    assert decision.reason


def test_a_hundred_thousand_characters_are_cut_to_what_the_model_reads(router: EmbeddingRouter) -> None:
    decision = router.route(ask("Summarize this: " + "lorem ipsum dolor " * 5_600))
    assert decision.route == "direct"
    start = "What are the risks of bees? "
    rows = Encoder().features([start + "x " * 5_000 + "poem " + "x " * 5_000, start + "x " * 10_000])
    assert rows[0] == rows[1]
    assert LONGEST == 128


def test_a_batch_and_single_texts_have_the_same_embedding() -> None:
    texts = ["What?", "What are the risks of keeping bees in a city?", "Poem"]
    encoder = Encoder()
    together, alone = encoder.features(texts), [encoder.features([text])[0] for text in texts]
    for batched, single in zip(together, alone, strict=True):
        assert batched == pytest.approx(single, abs=1e-4)
    assert together[0] != pytest.approx(together[1], abs=1e-2)


async def test_threads_and_coroutines_say_the_same(router: EmbeddingRouter) -> None:
    question = ask("What are good ways to learn Italian?")
    expected = router.route(question)
    found = await asyncio.gather(*(router.aroute(question) for _ in range(6)))
    assert {decision.route for decision in found} == {expected.route}
    assert all(decision.confidence == pytest.approx(expected.confidence, abs=1e-4) for decision in found)


def test_the_threshold_decides() -> None:
    assert get_router("embedding", threshold=0.0).route(ask("Hello!")).route == "sot"
    with pytest.raises(ConfigurationError, match=r"threshold=-1"):
        EmbeddingRouter(threshold=-1)


def test_another_model_is_trained_and_read(tiny_encoder, tmp_path) -> None:
    questions = read_questions(shipped_questions())[::12]
    trained = train_embedding(questions, model=str(tiny_encoder))
    assert len(trained.held_out) == len(questions)
    file = tmp_path / "head.json"
    trained.model.save(file)
    router = EmbeddingRouter(model=tiny_encoder, weights=file)
    assert evaluate(router, questions).scores.accuracy > 0.8
    assert router.head.about["model"] == str(tiny_encoder)


def test_a_model_without_weights_and_weights_of_another_model_are_refused(tiny_encoder, tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="needs weights trained for it"):
        EmbeddingRouter(model=tiny_encoder)
    LexicalRouter().model.save(tmp_path / "lexical.json")
    with pytest.raises(ConfigurationError, match="do not fit a model with 32 dimensions"):
        EmbeddingRouter(model=tiny_encoder, weights=tmp_path / "lexical.json")
    with pytest.raises(ConfigurationError, match="is no encoder"):
        Encoder(tmp_path)


def test_a_missing_package_is_named(monkeypatch) -> None:
    monkeypatch.setattr(sentences, "PACKAGED_MODEL", "gt_not_there")
    with pytest.raises(MissingExtraError, match="pip install"):
        EmbeddingRouter()
