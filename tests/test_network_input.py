"""What a network takes, refuses, keeps and says of itself, seen from outside."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from handnet import Network


@pytest.mark.parametrize("sizes", [[], [3], [2, 0], [0, 2], [2, 3, 0], [2, -1, 2]])
def test_a_network_has_two_sizes_of_at_least_one(rng, sizes):
    with pytest.raises(ValueError, match="expected at least two sizes, each 1 or more"):
        Network.random(sizes, rng=rng)


@pytest.mark.parametrize("inputs", [1, 3])
def test_weights_are_drawn_so_that_a_preactivation_of_ones_has_a_standard_deviation_of_one(rng, inputs):
    (w,) = Network.random([inputs, 40_000], rng=rng).weights
    assert w.sum(axis=0).std() == pytest.approx(1, abs=0.02)


def test_the_weights_cannot_be_written_into(rng):
    net = Network.random([2, 3, 1], rng=rng)
    gradients = net.backprop(np.ones((4, 2)), np.ones((4, 1))).gradients
    for network in (net, net.update(gradients)):
        with pytest.raises(ValueError, match="read-only"):
            network.weights[-1][0, 0] = 0


def test_a_file_of_objects_is_refused_before_any_of_them_is_made(tmp_path):
    path, trace = tmp_path / "network.npz", tmp_path / "trace"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trace,)

    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([Trap()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as file:
        for name in ("W1.npy", "activation.npy"):
            file.write(objects, name)
    with pytest.raises(ValueError, match=r"is not a network saved by Network.save: \w"):
        Network.load(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Trap()))
    assert trace.exists()


def test_a_stack_says_so_and_refuses_samples_of_another(rng):
    assert repr(Network.random([2, 1], rng=rng)) == "Network(2-1, sigmoid, float64)"
    stack = Network.random([2, 1], rng=rng, stack=(3, 2))
    assert repr(stack) == "Network(2-1, sigmoid, float64, stack=(3, 2))"
    assert stack.forward(np.ones((3, 2, 5, 2)))[-1].shape == (3, 2, 5, 1)
    assert stack.forward(np.ones((2, 5, 2)))[-1].shape == (3, 2, 5, 1)
    with pytest.raises(ValueError, match=r"\(4, 2\), which do not broadcast with the stack \(3, 2\)"):
        stack.forward(np.ones((4, 2, 5, 2)))
