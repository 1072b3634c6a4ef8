import asyncio
import json
import threading

import pytest

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import ClassifierRouter, get_router
from skeleton_of_thought.routing.classifier import ClassifierSettings
from skeleton_of_thought.routing.encoding import context_of, encode, head_and_tail, padded
from skeleton_of_thought.routing.training.metrics import probability


def ask(text: str) -> list[Message]:
    return [Message("user", text)]


@pytest.fixture(scope="module")
def router(tiny_encoder) -> ClassifierRouter:
    return ClassifierRouter(tiny_encoder, device="cpu")


def test_a_long_question_keeps_its_head_and_its_tail() -> None:
    assert head_and_tail(list(range(100)), room=8) == [0, 1, 2, 3, 4, 5, 98, 99]
    assert head_and_tail([1, 2, 3], room=3) == [1, 2, 3]
    assert head_and_tail(list(range(100)), room=8, ending=1) == [0, 1, 2, 3, 4, 5, 6, 99]


def test_special_tokens_survive_the_cut(tiny_encoder) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    short, long = encode(tokenizer, ["start end", "start " + "x " * 500 + "end"], longest=16)
    words = tokenizer.convert_ids_to_tokens(long)
    assert len(long) == 16
    assert (words[:2], words[-2:]) == (["[CLS]", "start"], ["end", "[SEP]"])
    ids, mask = padded([short, long], tokenizer.pad_token_id)
    assert len(ids[0]) == len(ids[1]) == len(mask[0]) == 16
    assert sum(mask[0]) == len(short)


def test_the_context_of_roberta_is_smaller_than_its_positions(tiny_encoder) -> None:
    from transformers import (
        AutoModelForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    assert context_of(AutoModelForSequenceClassification.from_pretrained(tiny_encoder)) == 48
    config = RobertaConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=34,
    )
    assert context_of(RobertaForSequenceClassification(config)) == 32


def test_a_question_longer_than_the_model_is_answered(router: ClassifierRouter) -> None:
    long = router.route(ask("what are the benefits of tea ? " * 3_000))
    assert long.route in {"sot", "direct"}
    middle = router.route(ask("start " + "x " * 200 + "poem " + "x " * 200 + "end"))
    other = router.route(ask("start " + "x " * 200 + "code " + "x " * 200 + "end"))
    assert middle.confidence == other.confidence


def test_temperature_and_threshold_come_from_the_folder(tiny_encoder, router, tmp_path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(tiny_encoder, folder)
    ClassifierSettings(temperature=0.01, threshold=0.0).save(folder)
    sharp = get_router(f"classifier:{folder}").route(ask("what are the risks of bees ?"))
    soft = probability(router.route(ask("what are the risks of bees ?")))
    assert sharp.route == "sot"
    assert abs(probability(sharp) - 0.5) > abs(soft - 0.5)
    (folder / "router.json").write_text(json.dumps({"nonsense": 1}))
    with pytest.raises(ConfigurationError, match="nonsense"):
        ClassifierRouter(folder)


async def test_async_and_threads_say_the_same(router: ClassifierRouter) -> None:
    question = ask("what are the tips for tea ?")
    expected = router.route(question).confidence
    many = await asyncio.gather(*(router.aroute(question) for _ in range(8)))
    assert {decision.confidence for decision in many} == {expected}


async def test_the_event_loop_runs_on(router: ClassifierRouter) -> None:
    threads = []
    route = router.route
    router.route = lambda messages: (threads.append(threading.current_thread()), route(messages))[1]
    try:
        await router.aroute(ask("what ?"))
    finally:
        del router.route
    assert threads != [threading.main_thread()]


def test_nothing_asked_and_nothing_there(router: ClassifierRouter, tmp_path) -> None:
    assert router.route([]).route == "direct"
    with pytest.raises(ConfigurationError, match="holds no sequence classifier"):
        ClassifierRouter(tmp_path)


def test_three_classes_are_no_router(tiny_encoder, tmp_path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(
        tiny_encoder,
        num_labels=3,
        ignore_mismatched_sizes=True,
    )
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="3 classes"):
        ClassifierRouter(tmp_path)
