import errno
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from comparisons import Comparison, MismatchError, check, compare
from comparisons.checks import hand_quantities
from comparisons.reference.quantities import Problem
from comparisons.reference.truth import Truth
from comparisons.verdict.comparison import write_csv
from comparisons.verdict.judging import measure
from comparisons.verdict.measured import SUSPECT, VERDICTS, WRONG
from handnet import Network

SIZES = (3, 5, 4, 2)
ACTIVATION = ("tanh", "sigmoid", "sigmoid")


@pytest.fixture
def net(rng):
    return Network.random(SIZES, rng=rng, activation=ACTIVATION)


@pytest.fixture
def samples(rng):
    return rng.standard_normal((6, 3)), rng.standard_normal((6, 2))


def planted(method, layer):
    """Return a Network class with one equation of one layer a little wrong."""

    class Faulty(Network):
        pass

    def fault(self, *args):
        value = getattr(Network, method)(self, *args)
        return value * (1 + 1e-9) if layer is None or args[0] == layer else value

    setattr(Faulty, method, fault)
    return Faulty


def planted_gradient(layer):
    class Faulty(Network):
        def gradient(self, a_below, delta):
            value = super().gradient(a_below, delta)
            return value * (1 + 1e-9) if value.shape == self.weights[layer - 1].shape else value

    return Faulty


FAULTS = {
    **{("activation", l): planted("activated", l) for l in (1, 2, 3)},
    ("cost", None): planted("cost", None),
    ("delta", 3): planted("output_delta", None),
    **{("delta", l): planted("hidden_delta", l) for l in (1, 2)},
    **{("gradient", l): planted_gradient(l) for l in (1, 2, 3)},
    **{("weight", l): planted("updated", l) for l in (1, 2, 3)},
}
FEEDS = {"activation": {"activation", "cost", "delta", "gradient", "weight"}, "cost": set()}
FEEDS |= {"delta": {"delta", "gradient", "weight"}, "gradient": {"weight"}, "weight": set()}


@pytest.mark.parametrize("key", FAULTS, ids=lambda key: f"{key[0]}-{key[1]}")
def test_a_planted_fault_is_wrong_and_what_follows_inherits(net, samples, key):
    comparison = compare(FAULTS[key](net.weights, net.activation), *samples)
    verdicts = {m.key: m.verdict for m in comparison.measured}
    assert not comparison.passed
    assert [k for k, v in verdicts.items() if v == "wrong"] == [key]
    inherited = {k[0] for k, v in verdicts.items() if v == "inherited"}
    assert inherited <= FEEDS[key[0]]
    if key in (("activation", 1), ("delta", 3), ("gradient", 2)):
        assert inherited == FEEDS[key[0]]
    assert comparison.diagnosis.first_wrong == key
    with pytest.raises(MismatchError, match="is the first wrong quantity"):
        comparison.assert_close()


def test_the_message_names_element_values_tolerance_and_replay(net, samples):
    comparison = compare(FAULTS["delta", 2](net.weights, net.activation), *samples, steps=2)
    message = comparison.message()
    worst = next(m for m in comparison.measured if m.verdict == "wrong")
    sample, node = worst.worst
    assert message.startswith(
        "Where: delta^(2) is the first wrong quantity (layer 2 of 3).\n"
        "Why: it is 1.000000001 times autograd's [scaled]."
    )
    assert f"delta_{node}^(2) [sample {sample}] is {float(worst.hand[sample, node])!r}" in message
    assert f"autograd says {float(worst.torch[sample, node])!r}" in message
    assert f"(tolerance {float(worst.tolerance[sample, node]):.2g})" in message
    assert "24 of 24 numbers are wrong at step 1." in message
    assert "Replay: compare(network, inputs, targets, learning_rate=0.5, steps=2)" in message


TIGHT = {
    "2-2-2 float64": ([2, 2, 2], np.float64, 1e-12, 1),
    "1024-1024-10 float64": ([1024, 1024, 10], np.float64, 1e-10, 8),
    "1024-1024-10 float32": ([1024, 1024, 10], np.float32, 1e-3, 8),
}


@pytest.mark.parametrize(("sizes", "dtype", "change", "batch"), TIGHT.values(), ids=TIGHT)
@pytest.mark.parametrize("quantity", ["gradient", "delta"])
def test_the_tolerance_is_tight(rng, sizes, dtype, change, batch, quantity):
    net = Network.random(sizes, rng=rng, dtype=dtype)
    x = rng.uniform(-1, 1, (batch, sizes[0])).astype(dtype)
    t = rng.uniform(0, 1, (batch, sizes[-1])).astype(dtype)
    problem = Problem(net.weights, net.activation, x, t)
    given, _ = hand_quantities(net, problem)
    for key in [k for k in given if k[0] == quantity]:
        # Changing every element at once tries each: an element's verdict depends on its own error alone.
        changed = {**given, key: (given[key].astype(np.float64) * (1 + change)).astype(dtype)}
        measured = measure(Truth(problem), changed)
        verdicts = next(m for m in measured if m.key == key).verdicts
        large = np.abs(given[key]) >= np.median(np.abs(given[key]))
        assert (verdicts[large] == WRONG).all()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_never_match(net, samples, poison):
    problem = Problem(net.weights, net.activation, *samples)
    given, _ = hand_quantities(net, problem)
    for key, value in given.items():
        bad = np.array(value)
        bad.flat[0] = poison
        measured = measure(Truth(problem), {**given, key: bad})
        assert next(m for m in measured if m.key == key).verdict == "wrong"


def test_where_upstream_was_not_given_a_failure_is_wrong(net, samples):
    problem = Problem(net.weights, net.activation, *samples)
    given, _ = hand_quantities(net, problem)
    only = {("gradient", l): given["gradient", l] * (1 + 1e-9) for l in (1, 2, 3)}
    measured = measure(Truth(problem), only)
    assert [m.verdict for m in measured] == ["wrong"] * 3
    assert all(m.local_ratio is None for m in measured)


def test_a_comparison_of_nothing_fails():
    comparison = Comparison((), (2, 2), ("sigmoid",), "float64")
    assert not comparison.passed
    with pytest.raises(MismatchError, match="nothing was compared"):
        comparison.assert_close()


def test_what_overflows_is_undecided_and_not_ok(rng):
    net = Network.random([3, 4, 2], rng=rng, activation="identity", dtype=np.float32)
    huge = Network([w * np.float32(1e30) for w in net.weights], "identity")
    comparison = compare(huge, np.full((2, 3), 1e10, np.float32), np.zeros((2, 2), np.float32))
    assert {m.verdict for m in comparison.measured} == {"undecided"}
    with pytest.raises(MismatchError, match="nothing was decided"):
        comparison.assert_close()


def test_a_users_tolerance_replaces_the_derived_one(net, samples):
    faulty = FAULTS["delta", 2](net.weights, net.activation)
    assert compare(faulty, *samples, rtol=1e-6, atol=1e-12).passed
    assert not compare(faulty, *samples, rtol=1e-11).passed


def test_relu_at_its_kink_and_exact_zeros_are_judged_rightly(rng):
    """A zero sample with zero biases is z = 0 exactly: both sides take the slope as 0, and that is checked."""
    weights = [rng.standard_normal((4, 5)), rng.standard_normal((6, 2))]
    weights[0][-1] = 0
    net = Network(weights, ["relu", "sigmoid"])
    x = np.vstack([np.zeros(3), rng.standard_normal(3)])
    assert compare(net, x, np.ones((2, 2)) / 2).passed

    class OtherSlope(Network):
        def slope(self, l, a):
            return (a >= 0).astype(a.dtype) if l == 1 else super().slope(l, a)

    comparison = compare(OtherSlope(weights, ["relu", "sigmoid"]), x, np.ones((2, 2)) / 2)
    assert [m.key for m in comparison.measured if m.verdict == "wrong"] == [("delta", 1)]


def test_drift_of_free_trainings_is_reported(net, samples):
    training = compare(net, *samples, steps=20).training
    assert training["step"].tolist() == list(range(1, 21))
    assert (training["drift"] < 1e-13).all()
    assert training["cost_hand"].iloc[-1] < training["cost_hand"].iloc[0]


def test_csv_files_read_back_exactly(tmp_path, net, samples):
    comparison = compare(net, *samples)
    comparison.to_csv(tmp_path)
    frame = pd.read_csv(tmp_path / "comparison.csv", dtype={"hand": str, "layer": "Int64"})
    assert frame["hand"].map(float).tolist() == comparison.frame["hand"].tolist()
    assert frame["layer"].equals(comparison.frame["layer"])
    assert list(frame.columns) == list(comparison.frame.columns)
    elements = pd.read_csv(tmp_path / "elements.csv", dtype={"hand": str})
    assert len(elements) == comparison.numbers
    gradient = elements[elements["name"] == "dC/dw_03^(1)"]
    assert float(gradient["hand"].item()) == comparison.measured[-4].hand[3, 0]


def test_a_failed_write_leaves_the_old_files(tmp_path, monkeypatch, net, samples):
    comparison = compare(net, *samples)
    comparison.to_csv(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    to_csv = pd.DataFrame.to_csv

    written = []

    def full_disk(self, path, **options):
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return to_csv(self, path, **options)

    monkeypatch.setattr(pd.DataFrame, "to_csv", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_csv({**compare(net, *samples, steps=2).tables()}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"steps": "3"}, "steps is '3': expected a whole number"),
        ({"steps": 2.0}, "steps is 2.0: expected a whole number"),
        ({"learning_rate": "0.5"}, "learning_rate is '0.5': expected a number"),
        ({"train_biases": "no"}, "train_biases is 'no': expected True or False"),
    ],
    ids=str,
)
def test_options_of_another_type_are_one_line(net, samples, bad, message):
    with pytest.raises(TypeError, match=message):
        compare(net, *samples, **bad)


@pytest.mark.parametrize("activation", ["identity", "relu", "sigmoid"])
def test_a_step_as_large_as_numbers_allow_is_compared_and_printed_without_a_warning(net, samples, activation):
    x, t = samples
    comparison = compare(Network(net.weights, activation), x[:1], t[:1], learning_rate=1e300, steps=2)
    assert "with one sample, mistakes in averaging do not show" in str(comparison)
    assert len(comparison.elements()) == comparison.numbers


@pytest.mark.parametrize("bad", [{"steps": 0}, {"learning_rate": np.nan}, {"rtol": -1.0}, {"atol": np.inf}])
def test_bad_options_are_one_line(net, samples, bad):
    (name,) = bad
    with pytest.raises(ValueError, match=f"{name} is .*: expected"):
        compare(net, *samples, **bad)


@pytest.mark.parametrize("method", ["forward", "preactivation"])
def test_a_network_that_changes_its_inputs_changes_neither_the_twins_nor_the_callers(net, samples, method):
    class InPlace(Network):
        pass

    def scaled(self, *args):
        args[-1].flags.writeable and np.multiply(args[-1], 2, out=args[-1])
        return getattr(Network, method)(self, *args)

    setattr(InPlace, method, scaled)
    before = samples[0].copy()
    assert not compare(InPlace(net.weights, net.activation), *samples).passed
    assert (samples[0] == before).all()


@pytest.mark.parametrize("change", [np.transpose, lambda g: g[:, :1], lambda g: g[0], list], ids=range(4))
def test_a_gradient_of_another_shape_is_wrong_and_named(rng, change):
    class Misshapen(Network):
        def gradient(self, a_below, delta):
            return change(super().gradient(a_below, delta))

    net = Misshapen(Network.random([2, 3, 1], rng=rng).weights)
    comparison = compare(net, rng.standard_normal((4, 2)), rng.standard_normal((4, 1)), steps=2)
    if change is list:
        assert comparison.passed
    else:
        assert {m.key[0] for m in comparison.measured if m.verdict == "wrong"} == {"gradient"}
        assert re.search(r"dC/dW\^\(\d\) has shape", comparison.message())


def test_float32_overflow_under_a_dead_relu_is_undecided(rng):
    weights = [np.array([[-1.0], [0.0]], np.float32), np.array([[1e30], [0.0]], np.float32)]
    comparison = compare(Network(weights, ["relu", "identity"]), np.ones(1), np.array([1e10]))
    assert comparison.count("wrong") == comparison.count("inherited") == 0
    assert {m.key: m.verdict for m in comparison.measured}["delta", 1] == "undecided"


def test_a_network_of_higher_precision_is_right(rng):
    class Wide(Network):
        def preactivation(self, l, a_below):
            return super().preactivation(l, a_below.astype(np.float64))

    for _ in range(20):
        net = Wide(Network.random([5, 8, 3], rng=rng, dtype=np.float32).weights)
        assert compare(net, rng.standard_normal((1, 5)), rng.standard_normal((1, 3))).passed


def test_one_overflowing_network_of_a_stack_leaves_the_others_decided(rng):
    weights = rng.standard_normal((3, 4, 2)).astype(np.float32)
    weights[1] = 1e38
    comparison = compare(Network([weights], "identity"), np.full((5, 3), 10.0), np.zeros((5, 2)))
    assert comparison.passed
    assert "undecided" in comparison.message()


def test_a_numpy_learning_rate_keeps_float32(rng):
    net = Network.random([3, 2], rng=rng, dtype=np.float32)
    assert compare(net, np.ones((2, 3)), np.zeros((2, 2)), learning_rate=np.float64(0.5), steps=2).passed


def test_a_directory_in_the_place_of_a_report_changes_nothing(tmp_path, net, samples):
    (tmp_path / "comparison.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        compare(net, *samples).to_csv(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.csv"]


def of_deep_tanh(*factors, calls_right=0):
    """Check gradients of a deep float32 network, those of its lowest layers times these factors after some calls."""
    calls = []

    def backprop(weights, inputs, targets):
        gradients = list(Network(weights, "tanh").backprop(inputs, targets).gradients)
        calls.append(len(inputs))
        if len(calls) <= calls_right:
            return gradients
        return [f * g for f, g in zip(factors, gradients, strict=False)] + gradients[len(factors) :]

    return check(backprop, sizes=(64, 64, 64, 64, 64, 10), activation="tanh", dtype=np.float32)


def test_where_no_guaranteed_tolerance_tells_a_layer_from_zero_the_expected_one_judges_it():
    comparison = of_deep_tanh(1, 1)
    assert max(m.resolution for m in comparison.measured) > 10
    assert max(m.expected_resolution for m in comparison.measured) < 1e-4
    assert comparison.passed
    assert comparison.message() == "86450 numbers match autograd"
    for factors in ((0, -1), (0,), (1, 1.001), (1.001,)):
        off = of_deep_tanh(*factors)
        assert not off.passed
        assert off.count("suspect") > 10_000
    assert not of_deep_tanh(1.001, calls_right=1).passed
    said = r"dC/dW\^\(1\) is suspect at step 1: .* \(tolerance .*, expected .*\)\ncould not be judged: 20,800 of 86,450"
    assert re.search(said, off.message())


@pytest.mark.parametrize(("of_expected", "verdict"), [(0.8, "ok"), (1.2, "suspect")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_further_off_than_is_expected_is_suspect(rng, dtype, of_expected, verdict):
    net = Network.random((40, 30, 20), rng=rng, dtype=dtype)
    inputs, targets = (rng.standard_normal((50, size)).astype(dtype) for size in (40, 20))
    truth = Truth(Problem(net.weights, net.activation, inputs, targets))
    keys = [("delta", 1), ("gradient", 1)]
    assert all((truth.expected[key] < 0.8 * truth.pairs[key][1]).all() for key in keys)
    off = {key: truth.pairs[key][0] + of_expected * truth.expected[key] for key in keys}
    for key in keys:
        (m,) = measure(truth, {key: off[key]})
        assert {VERDICTS[i] for i in m.verdicts.flat} == {verdict}


def off_by(factor, sizes, batch, **options):
    """Check the gradients of a float32 network, those of the lower half of its layers times a factor."""

    def backprop(weights, inputs, targets):
        gradients = list(Network(weights).backprop(inputs, targets).gradients)
        lower = len(gradients) // 2
        return [factor * g for g in gradients[:lower]] + gradients[lower:]

    return check(backprop, layout="note", sizes=sizes, batch=batch, dtype=np.float32, **options)


def test_what_is_suspect_is_shown_and_fails_if_strict():
    factor = np.float32(1 + 1e-4)
    shown, strict = (off_by(factor, (64, 32, 10), 32, strict=strict) for strict in (False, True))
    assert shown.passed
    assert not strict.passed
    assert shown.count("suspect") == strict.count("suspect") > 1000
    assert f", {shown.count('suspect')} suspect" in shown.message()
    assert {"suspect", "ok"} >= {m.verdict for m in shown.measured}
    assert "suspect: it passes, but its error is larger than rounding is expected to cause" in str(shown)
    assert re.match(r"dC/dW\^\(1\) is suspect at step 1: .* \(tolerance .*, expected .*\)\n", strict.message())
    assert "strict=True" in strict.replay
    assert off_by(np.float32(1), (64, 32, 10), 32, strict=True).passed
    with pytest.raises(TypeError, match="strict is 'yes': expected True or False"):
        off_by(1, (2, 2, 2), 1, strict="yes")


@pytest.mark.parametrize(
    ("sizes", "batch"),
    [((20,) * 31, 8), pytest.param((1024, 1024, 1024, 10), 100, marks=pytest.mark.slow)],
    ids=["30 layers", "1024-1024-1024-10"],
)
def test_a_gradient_that_is_off_by_a_thousandth_is_suspect_where_no_guaranteed_tolerance_sees_it(sizes, batch):
    off = off_by(np.float32(1.001), sizes, batch)
    assert not off.count("wrong")
    assert not off.passed
    lower = [m for m in off.measured if m.key[1] <= (len(sizes) - 1) // 2]
    assert all((m.verdicts == SUSPECT).mean() > 0.5 for m in lower)
    assert off_by(np.float32(1), sizes, batch, strict=True).passed


def test_with_a_tolerance_of_ones_own_nothing_that_it_forgives_is_suspect(net, samples):
    truth = Truth(Problem(net.weights, net.activation, *samples, rtol=1e-3))
    for change, verdict in ((9e-4, "ok"), (1.1e-3, "wrong")):
        off = {key: value * (1 + change) for key, (value, _) in truth.pairs.items() if key[0] == "gradient"}
        assert {m.verdict for m in measure(truth, off)} == {verdict}


def test_printing_finds_what_is_blind_only_where_that_is_cheap(net, samples):
    x, t = samples
    few = compare(net, x[:1], t[:1])
    assert "with one sample, mistakes in averaging do not show; with one step" in str(few)
    many = replace(few, measured=few.measured * 1000)
    assert "comparison.blind finds" in str(many)
    assert many.blind == few.blind
    assert f"this data cannot show {len(few.blind)} kinds of mistake" in str(many)
