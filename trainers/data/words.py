"""Tokens of words, for both kinds of Transformer: the next word, or words that were hidden."""

from __future__ import annotations

import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from trainers.data.dataset import Array, Dataset, dataset_of
from trainers.data.documents import (
    Texts,
    clean_texts,
    normalise_texts,
    read_standard_library,
    split_texts,
)
from trainers.data.prepare import Nothing, Parts, Samples, prepared

__all__ = [
    "END",
    "IGNORED",
    "MASK",
    "UNKNOWN",
    "VOCABULARY",
    "build_vocabulary",
    "masked_words_data",
    "unigram_perplexity",
    "words_data",
]

VOCABULARY = 10_000
"""Tokens that a network knows: UNKNOWN, MASK, END and the most frequent words."""
UNKNOWN, MASK, END = 0, 1, 2
IGNORED = -1
"""Target of a position that is not to be predicted."""
SEQUENCE_LENGTH = 64
MASKED_PER_SEQUENCE = 20
"""Of 64, twice the 15 % of Devlin et al. (2019): a step asks twice as much, and 15 % is nothing special (Wettig et al.,
EACL 2023, found 40 % better in large models). The same for all, so that batches weigh alike however divided."""
MASK_COPIES = 4
"""Times that each sequence is stored, hidden differently each time (Devlin et al. used 10)."""
_SPECIAL = ("<unknown>", "<mask>", "<end>")
_TOKEN = re.compile(r"[A-Za-z]+|\d|[^\sA-Za-z\d]")

Read = Callable[[Nothing], tuple[Texts, str]]


def words_data(seed: int, length: int = SEQUENCE_LENGTH, read: Read = read_standard_library) -> Dataset:
    """Return sequences of words; the target of each is the next one.

    Words keep their case; digits and signs stand alone; each paragraph ends with END. The vocabulary is that of the
    training part, and whole documents are held out.

    Args:
        seed: of the choice of documents to hold out.
        length: tokens of a sequence.
        read: gives the documents: by default what the standard library of the running interpreter documents,
            which differs between versions of Python and not otherwise.
    """

    def cut(stream_N: Array, _: int) -> Samples:
        return _next(stream_N, length)

    return _words("words of the Python standard library's documentation", seed, read, cut)


def masked_words_data(
    seed: int, length: int = SEQUENCE_LENGTH, read: Read = read_standard_library
) -> Dataset:
    """Return the same sequences with 31 % of their words hidden, which are the targets.

    Of the hidden positions 80 % hold MASK, 10 % a random word and 10 % the true one (Devlin et al., BERT, NAACL 2019,
    section 3.1). All other targets are IGNORED. Sequences to train on are stored several times, hidden differently.

    Args:
        seed: of the choice of documents to hold out, and of positions to hide.
        length: tokens of a sequence.
        read: gives the documents; see `words_data`.
    """

    def cut(stream_N: Array, copies: int) -> Samples:
        return _hidden(stream_N, length, copies, np.random.default_rng([seed, copies, len(stream_N)]))

    return _words("hidden words of the Python standard library's documentation", seed, read, cut)


def _words(name: str, seed: int, read: Read, cut: Callable[[Array, int], Samples]) -> Dataset:
    """Prepare the documents and cut their streams of tokens into samples."""
    vocabulary: tuple[str, ...] = ()

    def encode(parts: Parts[Texts]) -> tuple[Parts[Samples], str]:
        nonlocal vocabulary
        train, test = (_tokenised(part) for part in (parts.train, parts.test))
        vocabulary = build_vocabulary(train)
        numbers = {word: number for number, word in enumerate(vocabulary)}
        train_N, test_N = (_numbered(part, numbers) for part in (train, test))
        unknown = float((test_N == UNKNOWN).mean())
        note = f"{len(vocabulary)} words of the training part; {unknown:.1%} of the held-out ones unknown"
        return Parts(cut(train_N, MASK_COPIES), cut(test_N, 1)), note

    parts, stages = prepared(
        Nothing(),
        ("read", read), ("clean", clean_texts), ("split", split_texts(seed)), ("normalise", normalise_texts), ("encode", encode),
    )  # fmt: skip
    version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    digest = zlib.crc32(parts.train.x.tobytes() + parts.test.x.tobytes())
    return dataset_of(f"{name}, Python {version}, crc32 {digest:08x}", "PSF-2.0", parts, stages, vocabulary)


def _tokenised(texts: Texts) -> list[list[str]]:
    """Return the words of each paragraph."""
    return [_TOKEN.findall(paragraph) for document in texts.documents for paragraph in document]


def build_vocabulary(paragraphs: Iterable[Sequence[str]], size: int = VOCABULARY) -> tuple[str, ...]:
    """Return the special tokens and the most frequent words, the earlier in the alphabet first among equals.

    >>> build_vocabulary([["b", "a", "b"], ["c"]], size=5)
    ('<unknown>', '<mask>', '<end>', 'b', 'a')
    """
    counts = Counter(word for words in paragraphs for word in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return (*_SPECIAL, *ranked[: size - len(_SPECIAL)])


def _numbered(paragraphs: Iterable[Sequence[str]], numbers: dict[str, int]) -> Array:
    """Return the tokens of all paragraphs as one stream."""
    stream = [
        number for words in paragraphs for number in (*(numbers.get(word, UNKNOWN) for word in words), END)
    ]
    return np.array(stream, dtype=np.uint16)


def _next(stream_N: Array, length: int) -> Samples:
    """Cut a stream into sequences and those shifted by one."""
    count = (len(stream_N) - 1) // length
    return Samples(
        stream_N[: count * length].reshape(count, length),
        stream_N[1 : count * length + 1].reshape(count, length),
    )


def _hidden(stream_N: Array, length: int, copies: int, draws: np.random.Generator) -> Samples:
    """Cut a stream into sequences, and hide words in copies of each."""
    count = len(stream_N) // length
    x_NxL = np.tile(stream_N[: count * length].reshape(count, length), (copies, 1))
    masked = max(1, MASKED_PER_SEQUENCE * length // SEQUENCE_LENGTH)
    places_NxM = draws.random(x_NxL.shape).argpartition(masked, axis=1)[:, :masked]
    y_NxL = np.full(x_NxL.shape, IGNORED, dtype=np.int16)
    true_NxM = np.take_along_axis(x_NxL, places_NxM, axis=1)
    np.put_along_axis(y_NxL, places_NxM, true_NxM.astype(np.int16), axis=1)
    kind_NxM = draws.random(places_NxM.shape)
    words_NxM = draws.choice(stream_N, size=places_NxM.shape)
    shown_NxM = np.where(kind_NxM < 0.8, np.uint16(MASK), np.where(kind_NxM < 0.9, words_NxM, true_NxM))
    np.put_along_axis(x_NxL, places_NxM, shown_NxM, axis=1)
    return Samples(x_NxL, y_NxL)


def unigram_perplexity(dataset: Dataset, vocabulary: int = VOCABULARY) -> float:
    """Return the perplexity on held-out targets of guessing by the words' shares in training, context unseen.

    exp of the mean negative log likelihood, with one added to each of the `vocabulary` counts (Laplace).

    Args:
        dataset: with tokens as targets; those below 0 are not counted.
        vocabulary: number of tokens.

    >>> all_alike = Dataset("a", "none", *(np.zeros((1, 9), dtype=np.int16) for _ in range(4)))
    >>> unigram_perplexity(all_alike, vocabulary=1)
    1.0
    """
    train_N, test_N = (part[part >= 0] for part in (dataset.train_y, dataset.test_y))
    counts_V = np.bincount(train_N, minlength=vocabulary) + 1.0
    log_shares_V = np.log(counts_V / counts_V.sum())
    return float(np.exp(-log_shares_V[test_N].mean()))
