import subprocess
import sys
from dataclasses import FrozenInstanceError

import mpmath
import numpy as np
import pytest
import torch

from handnet import Network, train
from handnet.activations import ACTIVATIONS, sigmoid

SIZES = [3, 5, 4, 2]


@pytest.fixture
def net(rng):
    return Network.random(SIZES, rng=rng, activation=["tanh", "relu", "sigmoid"])


@pytest.fixture
def samples(rng):
    return rng.standard_normal((6, 3)), rng.standard_normal((6, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_right_in_relative_terms_down_to_underflow(dtype):
    lowest = -87 if dtype == np.float32 else -708
    z = np.linspace(lowest, 40, 200).astype(dtype)
    with mpmath.workdps(50):
        exact = np.array([float(1 / (1 + mpmath.exp(-mpmath.mpf(float(v))))) for v in z])
    assert (np.abs(sigmoid(z) - exact) <= 4 * np.finfo(dtype).eps * exact).all()


@pytest.mark.parametrize("size", [1e4, 1e300, 1e308])
def test_a_network_saturates_and_overflows_without_a_warning(size):
    net = Network([np.array([[-size, size], [-size, size]])])
    with np.errstate(all="raise"):
        result = net.backprop([1.0], [1.0, 0.0])
        assert net.forward([1.0])[1].tolist() == [[0.0, 1.0]]
    assert result.activations[1].tolist() == [[0.0, 1.0]]
    assert not result.gradients[0].any()


ELEMENTWISE = [name for name in ACTIVATIONS if name != "softmax"]


@pytest.mark.parametrize("activation", ELEMENTWISE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_training_that_diverges_does_so_without_a_warning(rng, samples, dtype, activation):
    net = Network.random(SIZES, rng=rng, activation=activation, dtype=dtype)
    with np.errstate(all="raise"):
        *_, (last, _) = train(net, *samples, learning_rate=1e300, epochs=5)
    assert last.dtype == dtype


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_slope_in_terms_of_a_is_the_derivative(name):
    z = np.linspace(-3, 3, 50)
    activation = ACTIVATIONS[name]
    numeric = (activation.value(z + 1e-6) - activation.value(z - 1e-6)) / 2e-6
    assert np.allclose(activation.slope(activation.value(z)), numeric, atol=1e-8)


def test_shapes_are_those_of_the_notation(net, samples):
    result = net.backprop(*samples)
    assert [a.shape for a in result.activations] == [(6, m) for m in SIZES]
    assert [d.shape for d in result.deltas] == [(6, m) for m in SIZES[1:]]
    assert [g.shape for g in result.gradients] == [w.shape for w in net.weights]
    assert result.cost.shape == ()


def test_a_stack_computes_what_each_of_its_networks_computes_alone(rng, samples):
    stack = Network.random(SIZES, rng=rng, stack=(2, 3))
    together = stack.backprop(*samples)
    for i in np.ndindex(2, 3):
        alone = Network([w[i] for w in stack.weights]).backprop(*samples)
        assert np.allclose(together.cost[i], alone.cost, rtol=1e-14)
        for whole, part in zip(together.gradients, alone.gradients, strict=True):
            assert np.allclose(whole[i], part, rtol=1e-13, atol=1e-16)


def test_a_vector_is_one_sample(net):
    x, t = np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5])
    assert net.backprop(x, t).cost == net.backprop(x[None], t[None]).cost


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_dtype_of_the_weights(rng, samples, dtype):
    net = Network.random(SIZES, rng=rng, dtype=dtype)
    result = net.backprop(*samples)
    arrays = [*result.activations, result.cost, *result.deltas, *result.gradients]
    arrays += net.update(result.gradients).weights
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}


def test_nothing_writes_into_what_it_was_given(rng, samples):
    weights = [rng.standard_normal((3 + 1, 4)), rng.standard_normal((4 + 1, 2))]
    given = [*weights, *samples]
    before = [array.copy() for array in given]
    net = Network(weights)
    net.update(net.backprop(*samples).gradients, train_biases=False)
    assert all((a == b).all() for a, b in zip(given, before, strict=True))
    weights[0][:] = 0
    assert (net.weights[0] == before[0]).all()


def test_biases_that_are_not_trained_stay(net, samples):
    gradients = net.backprop(*samples).gradients
    new, moved = net.update(gradients, train_biases=False), net.update(gradients)
    for old, now, other in zip(net.weights, new.weights, moved.weights, strict=True):
        assert (now[-1] == old[-1]).all()
        assert (now[:-1] != old[:-1]).any()
        assert (other[-1] != old[-1]).any()


W = np.ones((3, 2))
BAD_NETWORKS = {
    "no layers": ([], "sigmoid", "at least one layer"),
    "shapes": ([W, np.ones((4, 2))], "sigmoid", r"weights\[1\] has shape \(4, 2\).*2 outputs: expected \(3, 2\)"),
    "no rows": ([np.ones((1, 2))], "sigmoid", r"\(1, 2\): expected \(\.\.\., inputs \+ 1, outputs\)"),
    "nan": ([W, W * np.nan], "sigmoid", r"weights\[1\]\[0, 0\] is nan"),
    "integers": ([np.ones((3, 2), int)], "sigmoid", "dtype int64: expected float32 or float64"),
    "objects": ([np.array([[None] * 2] * 3)], "sigmoid", "dtype object: expected float32 or float64"),
    "mixed dtypes": ([W, W.astype(np.float32)], "sigmoid", "expected one dtype"),
    "ragged": ([[[1.0, 2.0], [3.0]]], "sigmoid", "ragged"),
    "nothing": (None, "sigmoid", "weights is None: expected one array per layer"),
    "no activation": ([W], None, "activation is None: expected one name, or one per layer"),
    "activation": ([W], "sine", "'sine' is unknown: expected one of sigmoid"),
    "softmax below": ([W, W], ["softmax", "sigmoid"], "of layer 1 is softmax: expected it for the output only"),
    "activations": ([W], ["tanh", "relu"], "2 names for 1 layers"),
}


@pytest.mark.parametrize(("weights", "activation", "message"), BAD_NETWORKS.values(), ids=BAD_NETWORKS)
def test_a_bad_network_is_one_line(weights, activation, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        Network(weights, activation)
    assert "\n" not in str(caught.value)


X, T = np.ones((6, 3)), np.ones((6, 2))
BAD_SAMPLES = {
    "width": (np.ones((6, 4)), T, r"inputs has shape \(6, 4\): expected \(\.\.\., samples, 3\)"),
    "empty": (X[:0], T[:0], "at least one sample"),
    "counts": (X, T[:4], "targets has 4 samples, but inputs has 6"),
    "nan": (np.full((6, 3), np.nan), T, r"inputs\[0, 0\] is nan: expected finite"),
    "infinite": (X, np.full((6, 2), np.inf), r"targets\[0, 0\] is inf: expected finite"),
    "integers": (X.astype(int), T, "inputs has dtype int64"),
    "scalar": (np.float64(1), T, "inputs has shape"),
    "stack": (np.ones((5, 6, 3)), T, "do not broadcast"),
}


@pytest.mark.parametrize(("inputs", "targets", "message"), BAD_SAMPLES.values(), ids=BAD_SAMPLES)
def test_bad_samples_are_one_line(rng, inputs, targets, message):
    net = Network.random(SIZES, rng=rng, stack=(2,))
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        net.backprop(inputs, targets)
    assert "\n" not in str(caught.value)


def test_save_and_load_keep_every_bit(tmp_path, net):
    net.save(tmp_path / "net.npz")
    again = Network.load(tmp_path / "net.npz")
    assert again.activation == net.activation
    assert all((a == b).all() for a, b in zip(again.weights, net.weights, strict=True))


def test_a_pass_is_a_value(net, samples):
    with pytest.raises(FrozenInstanceError):
        net.backprop(*samples).cost = 0.0


DAMAGE = {"cut": "", "text": "", "empty": "", "other": "activation is not a file in the archive"}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.items(), ids=DAMAGE)
def test_a_damaged_file_is_one_line(tmp_path, net, damage, reason):
    path = tmp_path / "net.npz"
    net.save(path)
    whole = path.read_bytes()
    if damage == "other":
        np.savez(path, something=np.ones(3))
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "text": b"not a network", "empty": b""}[damage])
    with pytest.raises(ValueError, match=f"is not a network saved by Network.save: .*{reason}") as caught:
        Network.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("problem", "reason"), [(ValueError("first line\nsecond line"), "first line"), (EOFError(), "EOFError")]
)
def test_whatever_a_file_raises_is_told_by_its_first_line_or_its_name(tmp_path, net, monkeypatch, problem, reason):
    def load(*_, **__):
        raise problem

    net.save(tmp_path / "net.npz")
    monkeypatch.setattr(np, "load", load)
    with pytest.raises(ValueError, match=f"is not a network saved by Network.save: {reason}$"):
        Network.load(tmp_path / "net.npz")


def test_an_update_needs_a_gradient_of_each_layer(net, samples):
    gradients = net.backprop(*samples).gradients
    with pytest.raises(ValueError, match="2 arrays for 3 layers"):
        net.update(gradients[:2])
    with pytest.raises(ValueError, match=r"gradients\[1\] has shape \(1,\): expected \(6, 4\)"):
        net.update([gradients[0], np.ones(1), gradients[2]])


def test_what_cannot_be_loaded_is_not_saved(tmp_path, net):
    diverged = net.update([np.full_like(w, np.nan) for w in net.weights])
    with pytest.raises(ValueError, match="is nan"):
        diverged.save(tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())


def test_training_is_reproducible_bit_for_bit(net, samples):
    def run():
        return list(train(net, *samples, epochs=3, batch_size=4, rng=np.random.default_rng(7)))

    for (one, cost), (two, again) in zip(run(), run(), strict=True):
        assert cost == again
        assert all((a == b).all() for a, b in zip(one.weights, two.weights, strict=True))


def test_one_epoch_of_one_batch_is_one_step(net, samples):
    result = net.backprop(*samples)
    ((trained, cost),) = train(net, *samples)
    assert cost == result.cost
    expected = net.update(result.gradients).weights
    assert all((a == b).all() for a, b in zip(trained.weights, expected, strict=True))


def test_a_short_last_minibatch_counts_by_its_samples(net, samples):
    x, t = samples
    ((_, cost),) = train(net, x, t, batch_size=4, learning_rate=0.0)
    assert np.isclose(cost, net.backprop(x, t).cost, rtol=1e-14)


def test_training_checks_before_it_starts(net, samples):
    with pytest.raises(ValueError, match="batch_size is 0: expected 1 or more"):
        train(net, *samples, batch_size=0)


BAD_OPTIONS = {
    "epochs": ({"epochs": "3"}, "epochs is '3': expected a whole number"),
    "batch": ({"batch_size": 2.0}, "batch_size is 2.0: expected a whole number"),
    "rate": ({"learning_rate": "0.5"}, "learning_rate is '0.5': expected a number"),
    "rng": ({"rng": 0}, r"rng is 0: expected a generator, as numpy.random.default_rng\(0\) makes one"),
}


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_a_bad_option_of_a_training_is_one_line_before_it_starts(net, samples, options, message):
    with pytest.raises(TypeError, match=message) as caught:
        train(net, *samples, **options)
    assert "\n" not in str(caught.value)


def test_a_bad_option_of_a_step_is_one_line(net, samples):
    gradients = net.backprop(*samples).gradients
    with pytest.raises(TypeError, match="learning_rate is None: expected a number"):
        net.update(gradients, None)
    with pytest.raises(ValueError, match="learning_rate is nan: expected a finite number"):
        net.update(gradients, float("nan"))
    with pytest.raises(ValueError, match="learning_rate is too large: expected a finite number"):
        net.update(gradients, 10**5000)
    with pytest.raises(TypeError, match="gradients is None: expected one array per layer"):
        net.update(None)
    with pytest.raises(TypeError, match="train_biases is 'no': expected True or False"):
        net.update(gradients, train_biases="no")


def test_a_random_network_needs_a_generator_and_whole_sizes(rng):
    with pytest.raises(TypeError, match=r"rng is None: expected a generator, as numpy.random.default_rng\(0\)"):
        Network.random(SIZES, rng=None)
    with pytest.raises(ValueError, match=r"sizes is \['3', 2\]: expected whole numbers"):
        Network.random(["3", 2], rng=rng)
    with pytest.raises(TypeError, match="sizes is None: expected at least two sizes"):
        Network.random(None, rng=rng)


def test_tensors_are_taken_as_arrays_unless_they_require_grad(rng, samples):
    weights = [torch.tensor(w) for w in Network.random(SIZES, rng=rng).weights]
    net = Network(weights)
    assert net.backprop(*map(torch.tensor, samples)).cost == net.backprop(*samples).cost
    message = (
        r"weights\[1\] is a Tensor: expected an array of numbers \(Can't call numpy\(\) on Tensor that requires grad"
    )
    with pytest.raises(TypeError, match=message) as caught:
        Network([weights[0], weights[1].requires_grad_(), weights[2]])
    assert "\n" not in str(caught.value)


def test_handnet_imports_numpy_and_nothing_else():
    code = "import sys, handnet; print([m for m in ('torch', 'pandas', 'comparisons') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
