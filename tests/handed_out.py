"""Our W from weights as they were handed out, whatever the form."""

import numpy as np


def layers_of(weights, form):
    """Our W from what was handed out."""
    if form.plain and form.container != "nodes":
        weights = arrays(weights)
    if form.container == "dict":
        top = max(int(name[1:]) for name in weights)
        weights = [
            [weights[f"W{l}"], weights[f"b{l}"]] if f"b{l}" in weights else weights[f"W{l}"] for l in range(1, top + 1)
        ]
    elif form.container == "flat":
        weights = [weights[i : i + 2] for i in range(0, len(weights), 2)]
    elif form.container == "split":
        weights = list(zip(*weights, strict=True))
    elif form.container == "nodes":
        weights = [np.array([node["weights"] for node in layer]) for layer in weights]
    layout = form.layout
    return [
        layout.negated(
            np.vstack([layout.weight_in(w[0]), np.reshape(w[1], (1, -1))]) if layout.is_paired else layout.matrix_in(w)
        )
        for w in weights
    ]


def arrays(part):
    if isinstance(part, dict):
        return {name: arrays(entry) for name, entry in part.items()}
    if isinstance(part, list) and isinstance(part[0], list) and not np.isscalar(part[0][0]) and np.ndim(part[0][0]):
        return [arrays(entry) for entry in part]
    try:
        return np.array(part, float)
    except ValueError:
        return [arrays(entry) for entry in part]
