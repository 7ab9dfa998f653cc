import copy

import pytest
import timm
import timm.utils
import torch
from torch import nn

from ecotui.engine.averaging import Averaging


def trained_a_little(network: nn.Module, step: int) -> None:
    """Change weights, running statistics and counters, as a step does."""
    torch.manual_seed(step)
    network(torch.randn(4, 3, 32, 32)).square().mean().backward()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    optimizer.step()
    optimizer.zero_grad()


def state_of(ema: timm.utils.ModelEmaV3) -> list[torch.Tensor]:
    return [each.clone() for each in ema.module.state_dict().values()]


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    built: nn.Module = timm.create_model("test_resnet", num_classes=3)
    return built.train()


def test_the_average_is_that_of_timm_to_the_last_bit(network: nn.Module) -> None:
    theirs = timm.utils.ModelEmaV3(network, decay=0.8, use_warmup=True)
    ours = copy.deepcopy(theirs)
    averaging = Averaging(ours, network)
    for step in range(1, 6):
        trained_a_little(network, step)
        theirs.update(network, step=step)
        averaging.update(step)
        assert all(map(torch.equal, state_of(ours), state_of(theirs)))
    # Otherwise nothing was compared.
    assert not all(map(torch.equal, state_of(ours), network.state_dict().values()))


def test_it_goes_on_with_weights_that_were_restored_in_place(network: nn.Module) -> None:
    ema = timm.utils.ModelEmaV3(network, decay=0.5)
    averaging = Averaging(ema, network)
    kept = copy.deepcopy(network.state_dict())
    trained_a_little(network, 1)
    network.load_state_dict(kept)
    for weight in network.parameters():
        weight.data = weight.data.clone()  # as on its way back from host memory
    before = state_of(ema)
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    averaging.update(10)
    (first, *others), (old_first, *old_others) = state_of(ema), before
    assert torch.allclose(first, old_first + 0.5)
    assert all(map(torch.equal, others, old_others))


def test_a_flag_on_the_device_leaves_all_of_it_as_it_is(network: nn.Module) -> None:
    averages = [timm.utils.ModelEmaV3(network, decay=0.8) for _ in range(3)]
    trained_a_little(network, 1)
    before = state_of(averages[0])
    Averaging(averages[0], network).update_unless(torch.tensor(True), 10)
    Averaging(averages[1], network).update_unless(torch.tensor(False), 10)
    Averaging(averages[2], network).update(10)
    assert all(map(torch.equal, state_of(averages[0]), before))
    assert all(map(torch.equal, state_of(averages[1]), state_of(averages[2])))
