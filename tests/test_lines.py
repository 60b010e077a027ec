"""The line of the first wrong array: where it is found, and where nothing is said."""

import functools

import numpy as np
import pytest

from comparisons import check
from comparisons.diagnosis.hint import hint
from comparisons.subject.lines import line_of
from handnet import Network

ROWS = {"layout": "rows", "sizes": (3, 4, 2)}


def logistic(z):
    return 1 / (1 + np.exp(-z))


def forward(weights, x):
    (W1, b1), (W2, b2) = weights
    a1 = logistic(x @ W1 + b1)
    return W2, a1, logistic(a1 @ W2 + b2)


def dictionary(weights, x, t):
    W2, a1, a2 = forward(weights, x)
    d2 = (a2 - t) / len(x) * a2 * (1 - a2)
    d1 = d2 @ W2.T
    dW1 = x.T @ d1
    return {"dW1": dW1, "db1": d1.sum(0), "dW2": a1.T @ d2, "db2": d2.sum(0)}


def in_a_loop(weights, x, t):
    a = [x]
    for W, b in weights:
        a.append(logistic(a[-1] @ W + b))
    delta = (a[-1] - t) / len(x) * a[-1] * (1 - a[-1])
    gradients = []
    for l in range(len(weights) - 1, -1, -1):
        gradients.insert(0, (a[l].T @ delta, delta.sum(axis=0)))
        delta = delta @ weights[l][0].T
    return gradients


def appended(weights, x, t):
    W2, a1, a2 = forward(weights, x)
    d2 = (a2 - t) / len(x) * a2 * (1 - a2)
    d1 = d2 @ W2.T * a1 * (1 - a1)
    gradients = []
    for a, d in ((x, d1), (a1, d2)):
        gradients.append(
            (a.T @ d, 3 * d.sum(0)),
        )
    return gradients


def literal(weights, x, t):
    W2, a1, a2 = forward(weights, x)
    d2 = (a2 - t) / len(x) * a2 * (1 - a2)
    d1 = d2 @ W2.T * a1 * (1 - a1)
    return [(x.T @ d1, d1.sum(0)), (a1.T @ d2 * 2, d2.sum(0))]


def a_tuple(weights, x, t):
    W2, a1, a2 = forward(weights, x)
    d2 = (a2 - t) / len(x) * a2 * (1 - a2)
    d1 = d2 @ W2.T * a1 * (1 - a1)
    db1 = d1.sum(0)
    db1 *= 3
    return (x.T @ d1, db1, a1.T @ d2, d2.sum(0))


def untold_share(weights, x, t):
    W2, a1, a2 = forward(weights, x)
    d2 = (a2 - t) * a2 * (1 - a2)
    d1 = d2 @ W2.T
    return [(x.T @ d1 / len(x), d1.mean(0)), (a1.T @ d2 / len(x), d2.mean(0))]


FOUND = {
    dictionary: "d1 = d2 @ W2.T  (delta of layer 1)",
    in_a_loop: "delta = delta @ weights[l][0].T  (delta of layer 1)",
    appended: "gradients.append( (a.T @ d, 3 * d.sum(0)), )  (gradient of layer 2)",
    literal: "return [(x.T @ d1, d1.sum(0)), (a1.T @ d2 * 2, d2.sum(0))]  (gradient of layer 2)",
    a_tuple: "db1 *= 3  (gradient of layer 1)",
    untold_share: "d1 = d2 @ W2.T  (delta of layer 1)",
}


def line_in(message):
    return [line for line in message.splitlines() if line.startswith("Line:")]


@pytest.mark.parametrize("function", FOUND, ids=lambda function: function.__name__)
def test_the_line_of_the_first_wrong_array_is_found(function):
    said = check(function, **ROWS).message()
    (line,) = line_in(said)
    _, file, number, statement = line.split(":", 3)
    assert (file.strip(), statement.strip()) == ("test_lines.py", FOUND[function])
    with open(__file__) as source:
        assert statement.split()[0].partition("(")[0] in source.read().splitlines()[int(number) - 1]


def test_of_a_partial_function_and_with_the_samples_in_columns_too():
    def backprop(weights, x, t, extra):
        (W1, b1), (W2, b2) = weights
        a1 = logistic(W1 @ x + b1)
        a2 = logistic(W2 @ a1 + b2)
        d2 = (a2 - t) / x.shape[1] * a2 * (1 - a2)
        d1 = W2.T @ d2
        return [(d1 @ x.T, d1.sum(1)), (d2 @ a1.T, d2.sum(1))]

    said = check(functools.partial(backprop, extra=1), layout="columns", sizes=(3, 4, 2)).message()
    assert line_in(said)[0].endswith("d1 = W2.T @ d2  (delta of layer 1)")


def test_a_line_is_given_away_by_the_whole_diagnosis_alone():
    comparison = check(dictionary, **ROWS)
    assert line_in(hint(comparison, "fix"))
    assert not any(
        "Line" in hint(comparison, level) or "d1" in hint(comparison, level) for level in ("quantity", "equation")
    )


# Where nothing is said.


def by_a_library(weights, x, t):
    net = Network([np.vstack(pair) for pair in weights], "tanh")
    gradients = net.backprop(x, t).gradients
    return [(g[:-1], g[-1]) for g in gradients]


def without_source():
    names = {"logistic": logistic, "forward": forward}
    exec(
        "def unseen(weights, x, t):\n"
        "    W2, a1, a2 = forward(weights, x)\n"
        "    d2 = (a2 - t) / len(x) * a2 * (1 - a2)\n"
        "    d1 = d2 @ W2.T\n"
        "    return [(x.T @ d1, d1.sum(0)), (a1.T @ d2, d2.sum(0))]\n",
        names,
    )
    return names["unseen"]


SILENT = {
    "a library's": by_a_library,
    "a lambda": lambda *question: dictionary(*question),
    "no source": without_source(),
    "a helper's, which is another function": functools.partial(lambda f, *question: f(*question), dictionary),
    "a helper's, called by name": lambda weights, x, t: in_a_loop(weights, x, t),
}


@pytest.mark.parametrize("name", SILENT)
def test_rather_than_guess_nothing_is_said(name):
    comparison = check(SILENT[name], **ROWS)
    assert comparison.diagnosis.mistakes
    assert not line_in(comparison.message())


def test_numbers_that_many_arrays_have_and_those_that_none_has_are_not_looked_for():
    def own(x):
        y = 2 * x
        return np.zeros_like(y)

    x = np.array([1.0, 2.0, 3.0])
    assert line_of(own, lambda: own(x), [2 * x]).endswith("y = 2 * x")
    assert not line_of(own, lambda: own(x), [0 * x])
    assert not line_of(own, lambda: own(x), [np.full(3, 7.0)])
    assert not line_of(own, lambda: own(x), [2 * x * (1 + 1e-6)])


def test_of_a_function_that_calls_itself_the_line_is_that_of_the_call_that_computes_it():
    def own(x, depth=3):
        y = x if depth == 0 else own(x, depth - 1) * 2
        return np.array(y)

    x = np.array([1.0, 2.0, 3.0])
    assert line_of(own, lambda: own(x), [8 * x]).endswith("else own(x, depth - 1) * 2")


def test_code_that_runs_very_many_lines_goes_without_and_whoever_traced_before_goes_on(monkeypatch):
    import sys

    def own(x):
        for _ in range(50):
            x = x + 1
        y = 2 * x
        return -y

    x, seen = np.array([1.0, 2.0, 3.0]), []
    before = sys.gettrace()
    sys.settrace(lambda *event: seen.append(event))
    mine = sys.gettrace()
    try:
        assert line_of(own, lambda: own(x), [2 * (x + 50)]).endswith("y = 2 * x")
        assert sys.gettrace() is mine
    finally:
        sys.settrace(before)
    monkeypatch.setattr("comparisons.subject.lines.MOST_LINES", 40)
    assert not line_of(own, lambda: own(x), [2 * (x + 50)])
