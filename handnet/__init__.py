"""A neural network written by hand with matrices, equation by equation after a short teaching note.

>>> import numpy as np
>>> from handnet import Network
>>> net = Network.random([2, 3, 1], rng=np.random.default_rng(0))
>>> result = net.backprop([0.5, -0.5], [1.0])
>>> [g.shape for g in result.gradients]
[(3, 3), (4, 1)]
>>> net = net.update(result.gradients, learning_rate=0.5)
"""

from handnet.network import Network, Pass, augmented
from handnet.training import train

__all__ = ["Network", "Pass", "augmented", "train"]
__version__ = "0.1.0"
