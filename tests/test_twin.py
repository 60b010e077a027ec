import numpy as np
import pytest
import torch
from torch import nn

from comparisons import compare, from_torch, to_torch
from comparisons.reference.twin import Twin
from handnet import Network

SIZES = [3, 5, 4, 2]
ACTIVATION = ("tanh", "relu", "sigmoid")


@pytest.fixture
def net(rng):
    return Network.random(SIZES, rng=rng, activation=ACTIVATION)


@pytest.fixture
def samples(rng):
    return rng.standard_normal((6, 3)), rng.standard_normal((6, 2))


def test_the_loss_is_the_notes_cost_and_half_the_mean_would_not_be(net, samples):
    output, targets = net.forward(samples[0])[-1], samples[1]
    cost = net.backprop(*samples).cost
    twin = Twin(net.weights, net.activation).local_cost(output, targets)
    half_mean = (nn.MSELoss()(torch.tensor(output), torch.tensor(targets)) / 2).numpy()
    assert np.isclose(twin, cost, rtol=1e-14)
    assert np.isclose(half_mean, cost / 2, rtol=1e-14)  # two outputs


def test_the_twin_is_an_ordinary_torch_training_step(net, samples):
    model = to_torch(net)
    x, t = map(torch.tensor, samples)
    loss = nn.MSELoss(reduction="sum")(model(x), t) / 2 / len(x)
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.5).step()
    ours = Twin(net.weights, net.activation).run(*samples, 0.5)
    assert ours.cost == loss.detach().numpy()
    for new, w in zip(ours.updated, from_torch(model).weights, strict=True):
        assert (new == w).all()


def test_a_stack_gives_each_networks_own_numbers(rng, samples):
    stack = Network.random(SIZES, rng=rng, activation=ACTIVATION, stack=(2, 3))
    together = Twin(stack.weights, ACTIVATION).run(*samples, 0.5)
    alone = Twin([w[1, 2] for w in stack.weights], ACTIVATION).run(*samples, 0.5)
    for whole, part in zip(together.quantities().values(), alone.quantities().values(), strict=True):
        assert np.allclose(whole[1, 2], part, rtol=1e-13, atol=1e-16)


def test_weights_go_both_ways_and_share_no_memory(net):
    model = to_torch(net)
    back = from_torch(model)
    assert back.activation == net.activation
    assert all((a == b).all() for a, b in zip(back.weights, net.weights, strict=True))
    with torch.no_grad():
        model[0].weight.zero_()
    assert (back.weights[0] == net.weights[0]).all()
    assert net.weights[0].any()


def test_torch_models_without_bias_activation_or_nesting_are_understood():
    module = nn.Sequential(nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh()), nn.Linear(4, 2), nn.Identity())
    net = from_torch(module)
    assert net.activation == ("tanh", "identity")
    assert (net.weights[0][-1] == 0).all()
    x = torch.randn(5, 3)
    assert np.allclose(net.forward(x.numpy())[-1], module(x).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("extra", [nn.Dropout(), nn.Softmax(dim=1)])
def test_a_module_that_cannot_be_written_by_hand_is_named(extra):
    with pytest.raises(ValueError, match=rf"module\[1\] is {type(extra).__name__}: expected Linear"):
        from_torch(nn.Sequential(nn.Linear(3, 2), extra))


def test_a_stack_is_no_single_module(rng):
    with pytest.raises(ValueError, match=r"stack of shape \(4,\)"):
        to_torch(Network.random(SIZES, rng=rng, stack=(4,)))


def test_what_is_no_network_is_named():
    with pytest.raises(TypeError, match=r"network is None: expected a handnet.Network"):
        to_torch(None)


STATES = {
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("stack", [(), (3,)], ids=["alone", "stack"])
def test_the_callers_torch_state_changes_nothing(rng, samples, state, stack):
    net = Network.random(SIZES, rng=rng, activation=ACTIVATION, dtype=np.float32, stack=stack)
    plain = compare(net, *samples)
    with state():
        inside = compare(net, *samples)
    assert inside.passed
    for a, b in zip(plain.measured, inside.measured, strict=True):
        assert (a.torch == b.torch).all()


def test_the_callers_default_dtype_precision_and_random_numbers_are_left_alone(net, samples):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    try:
        assert compare(net, *samples).passed
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
    assert (torch.rand(2) == expected).all()


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="an older torch has no such setting"
)
def test_reduced_precision_of_any_backend_is_shut_out_and_put_back(rng, samples):
    net = Network.random(SIZES, rng=rng, dtype=np.float32)
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        assert compare(net, *samples).passed
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.backends.cuda.matmul.fp32_precision = "none"
        torch.backends.mkldnn.matmul.fp32_precision = "none"


def test_a_device_that_is_not_there_is_one_line(net, samples):
    with pytest.raises(ValueError, match="'tpu': expected 'cpu' or 'cuda'"):
        compare(net, *samples, device="tpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_twin_runs_on_cuda(net, samples):
    assert compare(net, *samples, device="cuda").passed
