"""Real JAX training runs, measured: the source of every cost profile that the simulator reads.

Small models (a linear model, a digit classifier, a byte-level Transformer) are trained with
Flax and Optax, data-parallel over one or more devices, and `python -m trainers calibrate`
turns what a step costs into a `dcsim.workload.profile.CostProfile`.

One noun a file, in the order in which the data flow:

==============  ==================================================================
devices         virtual CPU devices and the cores they run on; set before JAX starts
data            the data sets, as numpy arrays
models          the networks
loss            one scalar per batch
optimizer       Optax update rules
registry        which data, network, loss and optimizer make one task
parallel        one training step over several devices: `pmap`, or `jit` over a mesh
train           the loop
evaluate        loss and accuracy on data that training has not seen
hlo             what a compiled step computes, holds and sends
energy          joules, where the machine counts them
measure         how long a step takes
worker          measures one device count in a process of its own
fit             step time as a function of batch and devices
provenance      where, when and how
calibrate       all of that, written as a cost profile
validate        the profile against new measurements
==============  ==================================================================

Arrays carry their shape as a suffix: x_BxLxD has axes B, L and D.

===  ============================================================
B    samples in a batch: of one device in a step, else of all
C    classes of a classifier
D    model width of the Transformer
F    hidden width (of the classifier, and of the Transformer's feed-forward layers)
H    attention heads
I    input features of one sample
K    width of one attention head, D / H
L    tokens in a sequence
N    samples in a data set
V    vocabulary: the 256 byte values
===  ============================================================

Importing this package imports no JAX; the modules that need it say so with `require_jax`.
"""

from __future__ import annotations

import importlib.util

from dcsim.errors import MissingExtraError

__all__ = ["require_jax"]


def require_jax() -> None:
    """Raise an error that names the remedy where JAX, Flax, Optax or mlxtend is missing.

    Raises:
        MissingExtraError: naming the extra `train`.
    """
    if any(importlib.util.find_spec(package) is None for package in ("jax", "flax", "optax", "mlxtend")):
        raise MissingExtraError("training", "train")
