"""timm's optimizers and schedules, as configured."""

from __future__ import annotations

import pytest
import timm
import torch

from ecotui.engine.compute import supports_fused
from ecotui.engine.optim import learning_rate, make_optimizer, make_schedule
from ecotui.errors import UsageError
from ecotui.resolved_config import ResolvedTrain


def network() -> torch.nn.Module:
    model: torch.nn.Module = timm.create_model("test_vit", num_classes=3)
    return model


def test_biases_and_norms_have_no_weight_decay() -> None:
    optimizer = make_optimizer(network(), ResolvedTrain(weight_decay=0.05), fused=False)
    decays = {group["weight_decay"] for group in optimizer.param_groups}
    assert decays == {0.0, 0.05}
    for group in optimizer.param_groups:
        if group["weight_decay"] == 0.0:
            assert all(weight.ndim <= 1 or weight.shape[0] == 1 for weight in group["params"])


@pytest.mark.skipif(
    not supports_fused(torch.optim.AdamW, "cpu"), reason="this torch has no fused AdamW here"
)
def test_fused_is_passed_on() -> None:
    optimizer = make_optimizer(network(), ResolvedTrain(), fused=True)
    assert optimizer.defaults["fused"] is True


def test_an_unknown_optimizer_gets_the_nearest_names() -> None:
    with pytest.raises(UsageError) as caught:
        make_optimizer(network(), ResolvedTrain(optimizer="adamww"), fused=False)
    assert "adamw" in caught.value.remedy


def test_layer_decay_makes_deeper_layers_learn_slower_throughout() -> None:
    config = ResolvedTrain(layer_decay=0.5, epochs=4, warmup_epochs=1.0, learning_rate=0.1)
    optimizer = make_optimizer(network(), config, fused=False)
    schedule = make_schedule(optimizer, config, steps_per_epoch=10)
    schedule.set_step(10)
    rates = sorted({round(float(group["lr"]), 9) for group in optimizer.param_groups})
    assert rates[-1] == pytest.approx(learning_rate(optimizer))
    assert rates[0] <= rates[-1] / 8


def test_the_rate_rises_to_its_peak_and_falls_to_its_end() -> None:
    config = ResolvedTrain(epochs=10, warmup_epochs=2.0, learning_rate=0.1, min_learning_rate=0.001)
    optimizer = make_optimizer(network(), config, fused=False)
    schedule = make_schedule(optimizer, config, steps_per_epoch=5)
    rates = []
    for step in range(50):
        rates.append(learning_rate(optimizer))
        schedule.set_step(step + 1)
    assert rates[0] == pytest.approx(config.warmup_learning_rate)
    assert max(rates) == pytest.approx(0.1, rel=0.1)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate(optimizer) == pytest.approx(0.001)


def test_the_rate_is_a_function_of_the_step_alone() -> None:
    config = ResolvedTrain(epochs=3)
    one, other = (make_optimizer(network(), config, fused=False) for _ in range(2))
    first, second = (make_schedule(made, config, steps_per_epoch=7) for made in (one, other))
    for step in range(1, 15):
        first.set_step(step)
    second.set_step(14)
    assert learning_rate(one) == learning_rate(other)


def test_none_keeps_the_rate() -> None:
    config = ResolvedTrain(scheduler="none", learning_rate=0.2)
    optimizer = make_optimizer(network(), config, fused=False)
    make_schedule(optimizer, config, steps_per_epoch=3).set_step(100)
    assert learning_rate(optimizer) == pytest.approx(0.2)
