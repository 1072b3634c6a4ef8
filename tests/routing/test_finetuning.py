from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.routing import ClassifierRouter, LabelledQuestion
from skeleton_of_thought.routing.training.classifier import (
    FinetuningOptions,
    TrainingStep,
    finetune,
    smoothed,
    tversky_loss,
)
from skeleton_of_thought.routing.training.metrics import evaluate

QUESTIONS = [
    LabelledQuestion(f"{start} {thing} ?", suitable=suitable)
    for start, suitable in (
        ("what are the benefits of", True),
        ("what are the risks of", True),
        ("tips for", True),
        ("write a poem", False),
        ("code to add", False),
        ("two numbers and", False),
    )
    for thing in ("tea", "bees", "x", "the end")
]
OPTIONS = FinetuningOptions(
    epochs=12, batch=8, learning_rate=3e-3, checkpoint_every=4, longest=32, cross_entropy=0.25
)


def test_tversky_by_hand() -> None:
    probability, target = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert tversky_loss(probability, target, alpha=0.7, beta=0.3).item() == pytest.approx(0.5)
    extra = torch.tensor([1.0, 1.0, 1.0, 0.0])
    one = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert tversky_loss(extra, one, alpha=0.7, beta=0.3).item() == pytest.approx(1 - 1 / 2.4)
    assert tversky_loss(one, extra, alpha=0.7, beta=0.3).item() == pytest.approx(1 - 1 / 1.6)
    assert tversky_loss(target, target, alpha=0.7, beta=0.3).item() == pytest.approx(0.0, abs=1e-6)
    nobody = torch.zeros(3)
    assert torch.isfinite(tversky_loss(nobody, nobody, alpha=0.7, beta=0.3))


def test_the_loss_falls_along_its_gradient() -> None:
    log_odds = torch.zeros(4, requires_grad=True)
    target = smoothed(torch.tensor([1.0, 0.0, 1.0, 0.0]), smoothing=0.2)
    assert target.tolist() == pytest.approx([0.9, 0.1, 0.9, 0.1])
    tversky_loss(log_odds.sigmoid(), target, alpha=0.7, beta=0.3).backward()
    assert log_odds.grad is not None
    assert (log_odds.grad.sign() == torch.tensor([-1.0, 1.0, -1.0, 1.0])).all()


def test_the_recipe_learns_and_its_folder_is_a_router(tiny_encoder, tmp_path) -> None:
    steps: list[TrainingStep] = []
    finetune(tiny_encoder, QUESTIONS, tmp_path, options=OPTIONS, device="cpu", progress=steps.append)
    assert [step.number for step in steps] == list(range(1, 37))
    assert steps[-1].of == 36
    assert steps[-1].epoch == 12
    assert steps[-1].loss < steps[0].loss / 2
    rates = [step.learning_rate for step in steps]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(3e-3)
    assert 0 < rates[-1] < 1e-3
    assert evaluate(ClassifierRouter(tmp_path, device="cpu"), QUESTIONS).scores.accuracy == 1.0
    assert not list(tmp_path.glob("checkpoint*"))


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop", [5, 8, 1])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tiny_encoder, tmp_path, stop: int) -> None:
    options = replace(OPTIONS, epochs=4)
    finetune(tiny_encoder, QUESTIONS, tmp_path / "whole", options=options, device="cpu")

    def interrupt(step: TrainingStep) -> None:
        if step.number == stop:
            raise StoppedError

    seen: list[int] = []
    with pytest.raises(StoppedError):
        finetune(
            tiny_encoder, QUESTIONS, tmp_path / "parts", options=options, device="cpu", progress=interrupt
        )
    torch.manual_seed(99)
    finetune(
        tiny_encoder,
        QUESTIONS,
        tmp_path / "parts",
        options=options,
        device="cpu",
        resume=True,
        progress=lambda step: seen.append(step.number),
    )
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert seen[0] == {5: 5, 8: 7, 1: 1}[stop]


def test_a_checkpoint_of_another_training_is_refused(tiny_encoder, tmp_path) -> None:
    def interrupt(step: TrainingStep) -> None:
        if step.number == 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        finetune(tiny_encoder, QUESTIONS, tmp_path, options=OPTIONS, device="cpu", progress=interrupt)
    with pytest.raises(ConfigurationError, match="another training"):
        finetune(
            tiny_encoder, QUESTIONS, tmp_path, options=replace(OPTIONS, batch=4), device="cpu", resume=True
        )


def test_what_cannot_be_trained_is_refused(tiny_encoder, tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="no questions"):
        finetune(tiny_encoder, [], tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be loaded as an encoder"):
        finetune(tmp_path / "nothing", QUESTIONS, tmp_path)
