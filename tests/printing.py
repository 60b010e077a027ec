"""Pages for the tests: a network trained by plain torch, and its numbers printed as a page would print them."""

import json

import torch

from comparisons.studies.examples import read_example

COSTS = {
    "half_squared_error": lambda z, a, t: ((a - t) ** 2).sum(-1) / 2,
    "squared_error": lambda z, a, t: ((a - t) ** 2).sum(-1),
    "mean_squared_error": lambda z, a, t: ((a - t) ** 2).mean(-1),
    "binary_cross_entropy": lambda z, a, t: -(t * a.log() + (1 - t) * (1 - a).log()).sum(-1),
    "cross_entropy": lambda z, a, t: -(t * a.log()).sum(-1),
}
FUNCTIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "softmax": lambda z: z.softmax(-1)}
# A 2-3-2 network, of each node its weights and then its bias.
WEIGHTS = [
    [[0.31, -0.42, 0.15], [0.63, 0.27, -0.38], [-0.54, 0.71, 0.22]],
    [[0.43, -0.65, 0.58, 0.12], [-0.37, 0.49, 0.76, -0.29]],
]
INPUTS, TARGETS = [[0.7, -0.4], [0.2, 0.9], [-0.5, 0.6]], [[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]]


class Page:
    """A network, one step after the other, in torch's own terms."""

    def __init__(self, samples=1, activation=("sigmoid", "sigmoid"), rate=0.4, **stated):
        self.inputs, self.targets = INPUTS[:samples], TARGETS[:samples]
        self.activation, self.rate, self.stated = list(activation), rate, dict(stated)
        self.leave_out = set()
        self.weights = WEIGHTS
        if not stated.get("biases", True):
            self.weights = [[row[:-1] for row in layer] for layer in WEIGHTS]
        if stated.get("shared_biases"):
            self.weights = [[[*row[:-1], layer[0][-1]] for row in layer] for layer in WEIGHTS]

    def steps(self, count=1):
        """Return what autograd says of each step."""
        stated = self.stated
        biases, shared = stated.get("biases", True), stated.get("shared_biases", False)
        matrices = [torch.tensor(layer, dtype=torch.float64) for layer in self.weights]
        w = [m[:, :-1] if biases else m for m in matrices]
        b = [
            (m[0, -1:] if shared else m[:, -1]) if biases else torch.zeros(len(m), dtype=torch.float64)
            for m in matrices
        ]
        said, moves = [], [0.0] * (2 * len(w))
        for step in range(count):
            rows = stated["batches"][step % len(stated["batches"])] if "batches" in stated else range(len(self.inputs))
            x, t = (
                torch.tensor([side[row] for row in rows], dtype=torch.float64) for side in (self.inputs, self.targets)
            )
            w, b = ([p.detach().clone().requires_grad_() for p in part] for part in (w, b))
            a, zs, activations = x.requires_grad_(), [], []
            for weight, bias, name in zip(w, b, self.activation, strict=True):
                z = a @ weight.T + bias
                a = FUNCTIONS[name](z)
                zs.append(z)
                activations.append(a)
            for tensor in (*zs, *activations):
                tensor.retain_grad()
            cost = COSTS[stated.get("cost", "half_squared_error")](zs[-1], a, t)
            cost = cost.sum() if stated.get("reduction") == "sum" else cost.mean()
            cost = cost + stated.get("l2", 0.0) / 2 * sum((p**2).sum() for p in w)
            cost.backward()
            said.append({"x": x, "z": zs, "a": activations, "cost": cost, "w": w, "b": b})
            parameters = [*w, *b]
            with torch.no_grad():
                steps = [self.rate * p.grad for p in w] + [self.rate * p.grad * biases for p in b]
                moves = [step + stated.get("momentum", 0.0) * move for step, move in zip(steps, moves, strict=True)]
                new = [p - move for p, move in zip(parameters, moves, strict=True)]
            w, b = new[: len(w)], new[len(w) :]
            said[-1] |= {"new_w": w, "new_b": b}
        return said

    def numbers(self, step=1, backward=True):
        """Return name, quantity, place and value of what autograd says of a step, in the order of the computation."""
        said = self.steps(step)[-1]
        rows = range(len(said["x"]))
        samples = list(range(len(self.inputs)))
        if "batches" in self.stated:
            samples = self.stated["batches"][(step - 1) % len(self.stated["batches"])]
        found = []

        def add(name, quantity, value, **where):
            found.append((f"{name} {step}", {"quantity": quantity, "step": step, **where}, float(value.detach())))

        def nodes(name, quantity, layer, value):
            for row in rows:
                for i in range(value.shape[1]):
                    add(f"{name}{layer}[{row},{i}]", quantity, value[row, i], layer=layer, index=i, sample=samples[row])

        layers = range(1, len(said["w"]) + 1)
        for l in layers:
            nodes("z", "preactivation", l, said["z"][l - 1])
            nodes("a", "activation", l, said["a"][l - 1])
        if not backward:
            return found
        add("C", "cost", said["cost"])
        for l in reversed(layers):
            if len(rows) == 1:
                nodes("dC/da", "activation_gradient", l, said["a"][l - 1].grad)
                nodes("delta", "delta", l, said["z"][l - 1].grad)
            w, b = said["w"][l - 1], said["b"][l - 1]
            new_w, new_b = said["new_w"][l - 1], said["new_b"][l - 1]
            for i in range(w.shape[0]):
                for j in range(w.shape[1]):
                    add(f"dC/dw{l}[{i},{j}]", "gradient", w.grad[i, j], layer=l, index=[i, j])
                    add(f"w{l}[{i},{j}]+", "weight", new_w[i, j], layer=l, index=[i, j])
                if self.stated.get("biases", True):
                    k = 0 if len(b) == 1 else i
                    add(f"dC/db{l}[{i}]", "gradient", b.grad[k], layer=l, index=[i, w.shape[1]])
                    add(f"b{l}[{i}]+", "weight", new_b[k], layer=l, index=[i, w.shape[1]])
        return found

    def toml(self, numbers, digits=9):
        """Return the file; values that are text are printed as they are."""
        table = {
            "sizes": [len(self.inputs[0]), *map(len, self.weights)],
            "activation": self.activation,
            "learning_rate": self.rate,
            "weights": self.weights,
            "inputs": self.inputs,
            "targets": self.targets,
            **self.stated,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if key not in self.leave_out]
        lines.append("printed = [")
        for name, where, value in numbers:
            text = value if isinstance(value, str) else f"{value:.{digits}f}"
            entry = {"name": name, "value": text, **where}
            lines.append("  { " + ", ".join(f"{key} = {json.dumps(item)}" for key, item in entry.items()) + " },")
        return "\n".join([*lines, "]", ""])

    def example(self, tmp_path, numbers, digits=9):
        """Return the page as it is read."""
        path = tmp_path / "page.toml"
        path.write_text(self.toml(numbers, digits))
        return read_example(path)
