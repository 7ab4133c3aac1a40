"""Real JAX training runs, measured: the source of every cost profile that the simulator reads.

Small models (a linear model, a digit classifier, a byte-level Transformer) are trained with
Flax and Optax, data-parallel over one or more devices, and `python -m trainers calibrate`
turns what a step costs into a `dcsim.workload.profile.CostProfile`.

One noun a file, in the order in which the data flow:

==============  ==================================================================
devices         virtual CPU devices and the cores they run on; set before JAX starts
data            the data sets, as numpy arrays: preparation in stages, batches, augmentation
models          the networks
recipe          how to train, in plain values
loss            one scalar per batch
optimizer       Optax update rules and schedules
card, cards     what is known of each task without JAX, and all of them
registry        which data, network, loss and optimizer make one task
parallel        one training step over several devices, in one of six ways
launch          processes started together, and stopped together
distributed     training shared by several processes, on one machine or many
train           the loop
checkpoint      a run's state on disk, by Orbax
evaluate        loss and metrics on data that training has not seen
metrics         accuracy, precision, recall, F1, perplexity
curve           the learning curve
stages          wall and CPU time of each stage of a run
interrupt       Ctrl-C, heard between two steps
space           what a search may choose from
trial           what is searched, and what came of one set of values
trial_journal   the journal of a search, one trial a line
search          trials one after another, each written down
prune           the smallest weights become 0
quantise        weights in int8, and products of them
distil          a small network learns from a large one
inference       latency against batch
compress        all of these, compared
outcome         what a run came to: a table and `summary.json`
files           files that are there whole or not at all
checked_line    a line of JSON with its check sum
hlo_text        a compiled module's text as computations, instructions and shapes
hlo_flops       FLOPs of one instruction
hlo             what a compiled step computes, holds and sends
flops           FLOPs of the Transformer by hand, and products of a compiled step
operators       FLOPs, bytes and calls by kind of operator
energy          joules, where the machine counts them; zeus_counter through zeus
measure         how long a step takes, beside an anchor
worker          measures one point after another on one device count; pool starts the processes
journal         finished measurements, one a line, for going on after any end
drift           a slower host told apart from a longer step; host_noise what a reader must know of it
fit             step time as a function of batch and devices, one line
regimes         where the cost of a sample changes
surface         step time between measured points, and how wrong it is
design          what to measure next
modes           ways of sharing a step that can be calibrated
settings        what a calibration is asked
provenance      where, when and how
calibrate       all of that, written as a cost profile by assemble
show            a profile as text
closed_loop     a small real cluster on this machine, and the simulation of the same jobs
roofline        how much of a device's peaks each kind of operator reaches, learnt from profiles
scaling         more devices: the exchange of gradients on given links
predict         other batches, devices and hardware, with an interval
predicted       a prediction as a profile
large           large language models predicted from shape and layout; no JAX
aot             steps compiled for TPUs that are not there
validation      predictions beside reality, and the pages that say how they compare
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

__all__ = ["is_of_training", "require_jax"]

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax", "mlxtend")
"""Those of the extra `train`."""


def require_jax() -> None:
    """Raise an error that names the remedy where JAX, Flax, Optax, Orbax or mlxtend is missing.

    Raises:
        MissingExtraError: naming the extra `train`.
    """
    try:
        missing = any(importlib.util.find_spec(package) is None for package in PACKAGES)
    except (ImportError, ValueError) as error:
        raise MissingExtraError("training", "train") from error
    if missing:
        raise MissingExtraError("training", "train")


def is_of_training(error: ImportError) -> bool:
    """Return whether an import failed for a package of the extra `train`, missing or in pieces.

    >>> is_of_training(ModuleNotFoundError("no flax", name="flax.linen")), is_of_training(ImportError("no"))
    (True, False)
    """
    return (error.name or "").partition(".")[0] in PACKAGES
