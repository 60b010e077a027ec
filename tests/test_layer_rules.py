"""The layers and costs of torch.nn: float32 stays within its bounds around float64, and the bounds are sharp."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from comparisons import backward_of, bounds
from comparisons.functions import Bounded
from comparisons.reference.bounds import RunningErrors


class Function(nn.Module):
    """A function as a module without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class First(nn.Module):
    """The first of what a recurrent layer returns."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.layer(x, x, x, need_weights=False)[0]


LAYERS = {
    "Linear": (nn.Linear(6, 4), (2, 5, 6)),
    "Conv2d": (nn.Conv2d(3, 4, 3, stride=2, padding=1), (2, 3, 8, 7)),
    "Conv2d, groups": (nn.Conv2d(4, 6, 3, groups=2, dilation=2, bias=False), (2, 4, 9, 9)),
    "Conv1d": (nn.Conv1d(3, 4, 3, padding="same"), (2, 3, 8)),
    "ConvTranspose2d": (nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), (2, 3, 5, 5)),
    "MaxPool2d": (nn.Sequential(nn.Conv2d(3, 3, 1), nn.MaxPool2d(2)), (2, 3, 8, 7)),
    "MaxPool2d, overlapping": (nn.Sequential(nn.Conv2d(3, 3, 1), nn.MaxPool2d(3, 2, 1, ceil_mode=True)), (2, 3, 8, 7)),
    "AvgPool2d": (nn.AvgPool2d(3, 2, 1), (2, 3, 8, 7)),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((3, 2)), (2, 3, 8, 7)),
    "BatchNorm1d": (nn.BatchNorm1d(6), (5, 6)),
    "BatchNorm2d": (nn.BatchNorm2d(3), (4, 3, 5, 5)),
    "BatchNorm1d, evaluating": (nn.BatchNorm1d(6).eval(), (5, 6)),
    "LayerNorm": (nn.LayerNorm((3, 6)), (5, 3, 6)),
    "GroupNorm": (nn.GroupNorm(2, 4), (3, 4, 5)),
    "InstanceNorm2d": (nn.InstanceNorm2d(3, affine=True), (2, 3, 5, 5)),
    "RMSNorm": (nn.RMSNorm(6), (5, 6)),
    "Softmax": (nn.Softmax(-1), (5, 6)),
    "LogSoftmax": (nn.LogSoftmax(0), (5, 6)),
    "LSTMCell": (First(nn.LSTMCell(6, 4)), (5, 6)),
    "GRUCell": (nn.GRUCell(6, 4), (5, 6)),
    "LSTM": (First(nn.LSTM(6, 4)), (3, 5, 6)),
    "GRU": (First(nn.GRU(6, 4)), (3, 5, 6)),
    "MultiheadAttention": (Attention(), (3, 5, 8)),
    "TransformerEncoderLayer": (nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), (3, 5, 8)),
    "attention, causal": (
        Function(lambda x: functional.scaled_dot_product_attention(x, 2 * x, x, is_causal=True)),
        (2, 2, 5, 4),
    ),
    "logsumexp": (Function(lambda x: x.logsumexp(1)), (5, 6)),
    "norm": (Function(lambda x: x.norm(dim=1)), (5, 6)),
    "normalize": (Function(functional.normalize), (5, 6)),
    "std": (Function(lambda x: x.std(0)), (5, 6)),
    "einsum": (Function(lambda x: torch.einsum("ij,kj->ik", x, x)), (5, 6)),
    "max": (Function(lambda x: (2.2 * x).max(1).values), (5, 6)),
    "written in place": (Function(lambda x: x.clone().mul_(1.1).index_add_(0, torch.tensor([0, 0]), x[:2])), (5, 6)),
    "power": (Function(lambda x: (x * x + 0.1) ** x), (5, 6)),
    "lerp": (Function(lambda x: torch.lerp(x, x * x, 0.3)), (5, 6)),
    "padded": (Function(lambda x: functional.pad(1.1 * x, (1, 2))), (5, 6)),
    "scattered": (
        Function(lambda x: x.new_zeros(5, 3).scatter_add(1, torch.arange(6).expand(5, 6) % 3, 1.1 * x)),
        (5, 6),
    ),
}  # fmt: skip
ACTIVATIONS = (
    *(nn.Sigmoid, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus, nn.Mish, nn.Hardtanh),
    *(nn.Hardswish, nn.ReLU6, nn.SELU, nn.CELU, nn.Softsign, nn.LogSigmoid, nn.PReLU, nn.Softshrink, nn.Tanhshrink),
)
LAYERS |= {kind.__name__: (nn.Sequential(nn.Linear(6, 6), kind()), (5, 6)) for kind in ACTIVATIONS}
LAYERS["GELU, tanh"] = (nn.Sequential(nn.Linear(6, 6), nn.GELU("tanh")), (5, 6))

classes = torch.tensor([0, 3, 5, 1, 1])
COSTS = {
    "MSELoss": (nn.MSELoss(), None),
    "MSELoss, sum": (nn.MSELoss(reduction="sum"), None),
    "L1Loss": (nn.L1Loss(), None),
    "SmoothL1Loss": (nn.SmoothL1Loss(), None),
    "HuberLoss": (nn.HuberLoss(), None),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(), None),
    "binary_cross_entropy": (lambda y, t: functional.binary_cross_entropy(y.sigmoid(), t), None),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), classes),
    "CrossEntropyLoss, smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), classes),
    "CrossEntropyLoss, probabilities": (nn.CrossEntropyLoss(), None),
    "CrossEntropyLoss, ignoring": (nn.CrossEntropyLoss(ignore_index=3), classes),
    "nll_loss": (
        lambda y, t: functional.nll_loss(y.log_softmax(1), t, weight=torch.arange(1, 7, dtype=y.dtype)),
        classes,
    ),
    "kl_div": (lambda y, t: functional.kl_div(y.log_softmax(1), t, reduction="batchmean"), None),
}


def leaves(nested):
    if isinstance(nested, Bounded):
        yield nested
    elif nested is not None:
        for part in nested.values() if isinstance(nested, dict) else nested:
            yield from leaves(part)


def check_float32_beside_float64(module, x, last, loss=None):
    """Every number of float32 within its bounds around float64's, and the bounds not far beyond."""
    reference = backward_of(module, loss)
    parameters = {name: p.detach().float() for name, p in module.named_parameters()}
    narrow = bounds(reference, parameters, x, last)
    wide_last = last.double() if last.is_floating_point() else last
    wide = bounds(reference, {name: p.double() for name, p in parameters.items()}, x.double(), wide_last)
    seen = 0
    for found, exact in zip(leaves(narrow), leaves(wide), strict=True):
        assert found.value.dtype == np.float32
        error = np.abs(found.value - exact.value)
        assert (error <= found.guaranteed / 2).all()
        assert (error <= found.expected).all()
        assert np.isfinite(found.guaranteed).all()
        scale = np.abs(exact.value).max(initial=0)
        assert found.expected.max(initial=0) <= 1.5e-4 * scale or scale < 1e-6
        seen += found.value.size
    assert seen > 0


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_a_layer_in_float32_lies_within_its_bounds_around_float64(layer, shape):
    torch.manual_seed(1)
    x = torch.randn(shape)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn_like(p) / 2)
        upstream = torch.randn(layer(x).shape)
    check_float32_beside_float64(layer, x, upstream)


@pytest.mark.parametrize(("loss", "targets"), COSTS.values(), ids=COSTS)
def test_a_cost_in_float32_lies_within_its_bounds_around_float64(loss, targets):
    torch.manual_seed(1)
    check_float32_beside_float64(
        nn.Linear(6, 6), torch.randn(5, 6), torch.rand(5, 6) if targets is None else targets, loss
    )


OPTIMISERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: torch.optim.Adam(p, amsgrad=True),
    "Adam, all at once": lambda p: torch.optim.Adam(p, foreach=True),
    "AdamW": torch.optim.AdamW,
    "RMSprop": lambda p: torch.optim.RMSprop(p, momentum=0.9, centered=True),
    "Adagrad": torch.optim.Adagrad,
}


@pytest.mark.parametrize("optimiser", OPTIMISERS.values(), ids=OPTIMISERS)
def test_thirty_steps_of_an_optimiser_in_float32_lie_within_their_bounds_around_float64(rng, optimiser):
    def steps(w, gradients):
        chosen = optimiser([w.requires_grad_()])
        for w.grad in gradients:
            chosen.step()
        return w

    arguments = [rng.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (30, 4, 3))]
    narrow, wide = bounds(steps, *arguments), bounds(steps, *(a.astype(np.float64) for a in arguments))
    error = np.abs(narrow.value - wide.value)
    assert (error <= narrow.guaranteed / 2).all()
    assert (error <= narrow.expected).all()
    assert narrow.expected.max() < 1e-5 * np.abs(wide.value).max()


HALVES = [
    "Linear",
    "Conv2d",
    "ConvTranspose2d",
    "LayerNorm",
    "BatchNorm1d",
    "GroupNorm",
    "Softmax",
    "GELU",
    "ELU",
    "Mish",
]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("name", HALVES)
def test_a_layer_in_half_precision_lies_within_its_bounds_around_float64(name, dtype):
    torch.manual_seed(1)
    layer, shape = LAYERS[name]
    x, reference = torch.randn(shape).to(dtype), backward_of(layer)
    parameters = {name: p.detach().to(dtype) for name, p in layer.named_parameters()}
    upstream = torch.randn_like(layer(x.float())).detach().to(dtype)
    narrow = bounds(reference, parameters, x, upstream)
    wide = bounds(reference, {name: p.double() for name, p in parameters.items()}, x.double(), upstream.double())
    for found, exact in zip(leaves(narrow), leaves(wide), strict=True):
        error = np.abs(found.value.astype(np.float64) - exact.value)
        assert (error <= found.guaranteed / 2).all()
        assert found.expected.max() <= 500 * torch.finfo(dtype).eps * np.abs(exact.value).max()


# Other forms of the same formulas.


def within(alternative, found):
    """How far the alternative lies off, in units of the guaranteed tolerance."""
    return float((np.abs(alternative.astype(np.float64) - found.value) / found.guaranteed).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_softmax_may_be_shifted_or_not_or_go_by_the_logarithm(rng, dtype):
    x = (5 * rng.standard_normal((200, 7)) + 20).astype(dtype)
    e, shifted = np.exp(x), np.exp(x - x.max(1, keepdims=True))
    lse = np.log(e.sum(1, keepdims=True))
    found = bounds(lambda x: x.softmax(1), x)
    for form in (e / e.sum(1, keepdims=True), shifted / shifted.sum(1, keepdims=True), np.exp(x - lse)):
        assert within(form, found) <= 1
    assert within(found.value * dtype(1 + 500 * np.finfo(dtype).eps), found) > 1
    found = bounds(lambda x: x.log_softmax(1), x)
    for form in (x - lse, np.log(e / e.sum(1, keepdims=True))):
        assert within(form, found) <= 1
    assert (
        within(bounds(lambda x: x.logsumexp(1, keepdim=True), x).value, bounds(lambda x: x.logsumexp(1, True), x)) == 0
    )
    assert within(lse, bounds(lambda x: x.logsumexp(1, keepdim=True), x)) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_softmax_of_small_numbers_is_bounded_by_the_roundings_of_its_sum_and_of_exp(rng, dtype):
    found = bounds(lambda x: x.softmax(1), (0.1 * rng.standard_normal((20, 7))).astype(dtype))
    error = found.guaranteed / 2 / found.value / (np.finfo(dtype).eps / 2)
    assert (error > 7 + 2 * 10).all()
    assert (error < 50).all()
    masked = bounds(lambda x: x.softmax(1), np.array([[0.0, 0.1, -np.inf]], dtype))
    assert (masked.guaranteed < 100 * np.finfo(dtype).eps).all()


def test_a_softplus_need_not_give_up_the_logarithm_where_torch_does():
    x = np.array([5.0, 20.5, 25.0])
    assert within(np.log1p(np.exp(x)), bounds(functional.softplus, x)) <= 1
    slope = bounds(lambda x: torch.autograd.grad(functional.softplus(x.requires_grad_()).sum(), x)[0], x)
    assert within(1 / (1 + np.exp(-x)), slope) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("of", [lambda x: np.log1p(np.exp(x)), lambda x: np.log(1 + np.exp(x))])
def test_the_slope_of_a_softplus_may_be_taken_from_its_value(dtype, of):
    x = np.linspace(-40, 15, 5000).astype(dtype)
    unit = np.finfo(dtype).eps / 2
    slope = bounds(lambda x: torch.autograd.grad(functional.softplus(x.requires_grad_()).sum(), x)[0], x)
    assert 0.05 < within(1 - np.exp(-of(x)), slope) <= 1
    # Far below, where all of it is rounding; and where it is near 1, no more than before.
    assert (slope.guaranteed[x < -35] < 40 * unit).all()
    assert (slope.guaranteed[x > 10] < 100 * unit).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_slopes_of_a_softmax_may_be_a_matrix(rng, dtype):
    x, g = rng.standard_normal((2, 50, 7)).astype(dtype)
    found = bounds(lambda x, g: torch.autograd.grad(x.requires_grad_().softmax(1), x, g)[0], x, g)
    y = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    matrix = y[:, :, None] * np.eye(7, dtype=dtype) - y[:, :, None] * y[:, None, :]
    assert within((matrix @ g[:, :, None])[..., 0], found) <= 1
    assert within(y * g - y * (y * g).sum(1, keepdims=True), found) <= 1
    assert within(y * (1 - y) * g, found) > 1000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_cross_entropy_of_probabilities_may_be_differentiated_term_by_term(rng, dtype):
    a, t = rng.uniform(0.01, 0.99, (2, 300)).astype(dtype)
    found = bounds(lambda a, t: torch.autograd.grad(functional.binary_cross_entropy(a.requires_grad_(), t), a)[0], a, t)
    n = dtype(300)
    for form in ((a - t) / (a * (1 - a)) / n, (-t / a + (1 - t) / (1 - a)) / n):
        assert within(form, found) <= 1
    assert within(found.value * dtype(1 + 100 * np.finfo(dtype).eps), found) > 1
    cost = bounds(lambda a, t: functional.binary_cross_entropy(a, t, reduction="none"), a, t)
    assert within(-(t * np.log(a) + (1 - t) * np.log(1 - a)), cost) <= 1


def test_any_of_several_that_tie_may_be_the_greatest_of_a_window():
    x = torch.tensor([[1.0, 1 + 2.0**-52, 5.0, 2.0], [0.0, 0.5, 3.0, 4.0]], dtype=torch.float64).reshape(1, 1, 2, 4)

    def gradient(x):
        leaf = x.requires_grad_()
        return torch.autograd.grad(functional.max_pool2d(leaf * 1.1, 2), leaf, torch.full((1, 1, 1, 2), 3.0).double())[
            0
        ]

    found = bounds(gradient, x)
    assert ((found.guaranteed >= 3)[0, 0]).tolist() == [[True, True, False, False], [False, False, False, False]]


def test_running_statistics_carry_their_errors(rng):
    x = torch.tensor(rng.standard_normal((6, 3)))

    def reference(x):
        norm = nn.BatchNorm1d(3, dtype=torch.float64)
        norm(x)
        return norm.running_mean, norm.running_var

    mean, var = bounds(reference, x)
    assert within(0.1 * x.numpy().mean(0), mean) <= 1
    assert within(0.9 + 0.1 * x.numpy().var(0, ddof=1), var) <= 1
    assert within(0.9 + 0.1 * x.numpy().var(0), var) > 1000


def test_a_stack_of_networks_under_vmap_has_the_bounds_of_each(rng):
    w, x = torch.tensor(rng.standard_normal((3, 4, 2))), torch.tensor(rng.standard_normal((3, 5, 4)))
    with RunningErrors() as errors:
        stacked = torch.func.vmap(lambda w, x: torch.sigmoid(x @ w))(w, x)
    for i in range(3):
        with RunningErrors() as single:
            alone = torch.sigmoid(x[i] @ w[i])
        torch.testing.assert_close(errors.ball(stacked).error[i], single.ball(alone).error, rtol=1e-6, atol=0)
