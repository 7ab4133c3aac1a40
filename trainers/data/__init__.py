"""The data sets, as numpy arrays, and how they are prepared.

dataset     what a data set is, and its batches
prepare     stages of preparation, each with what it took
augment     images changed anew each time they are drawn
documents   prose of the Python standard library
linear, rings, digits, textures, text, words: the data sets
"""

from __future__ import annotations

from trainers.data.augment import Affine
from trainers.data.dataset import Array, Augment, Dataset, batches
from trainers.data.digits import digits_data
from trainers.data.linear import linear_data
from trainers.data.rings import rings_data
from trainers.data.text import SEQUENCE_LENGTH, text_data
from trainers.data.textures import textures_data
from trainers.data.words import masked_words_data, unigram_perplexity, words_data

__all__ = [
    "SEQUENCE_LENGTH",
    "Affine",
    "Array",
    "Augment",
    "Dataset",
    "batches",
    "digits_data",
    "linear_data",
    "masked_words_data",
    "rings_data",
    "text_data",
    "textures_data",
    "unigram_perplexity",
    "words_data",
]
