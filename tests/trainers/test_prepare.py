"""Stages of preparation do what they say, cost what they say, and tell the training part nothing of the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from trainers.__main__ import main
from trainers.data import Dataset, masked_words_data, unigram_perplexity, words_data
from trainers.data.documents import Texts, _docstrings, _modules, clean_texts, split_texts
from trainers.data.prepare import (
    Nothing,
    Parts,
    Samples,
    clean_samples,
    prepared,
    shuffled_split,
    standardised,
)
from trainers.data.words import IGNORED, MASK, MASK_COPIES, UNKNOWN

DRAWS = np.random.default_rng(0)


def library(documents: int = 20, marker: str = "", only: frozenset[int] = frozenset()) -> Texts:
    """Return documents of 200 words, of which some may have one swapped for a marker of the same length."""
    texts = []
    for number in range(documents):
        draws = np.random.default_rng(number)
        words = [f"{'abcdefgh'[kind]}word" for kind in draws.integers(0, 8, 200)]
        if number in only:
            words[3] = marker
        texts.append((" ".join(words),))
    return Texts(tuple(texts))


def reader(texts: Texts):
    return lambda _: (texts, "made up")


def test_cleaning_drops_what_is_broken_or_repeated_and_counts_constants() -> None:
    x = np.array([[1, 2, 7], [np.nan, 2, 7], [1, 2, 7], [3, np.inf, 7], [4, 2, 7]], dtype=np.float32)
    kept, note = clean_samples(Samples(x, np.array([0.0, 1.0, 2.0, 3.0, 4.0])))
    assert kept.y.tolist() == [0, 4]
    assert note == "2 not finite, 1 repeated, 2 of 3 columns constant"
    kept, _ = clean_samples(Samples(x[:1], np.array([np.nan])))
    assert kept.rows == 0


def test_stages_say_what_went_in_came_out_and_was_spent() -> None:
    def squares(_: Nothing) -> tuple[Samples, str]:
        sum(value * value for value in range(200_000))
        return Samples(np.zeros((10, 4), dtype=np.float32), np.zeros(10, dtype=np.uint8)), "summed"

    last, stages = prepared(Nothing(77), ("read", squares), ("split", shuffled_split(0, 0.2)))
    assert [(each.rows_in, each.rows_out, each.bytes_in, each.bytes_out) for each in stages] == [
        (0, 10, 77, 170), (10, 10, 170, 170),
    ]  # fmt: skip
    assert (last.train.rows, last.test.rows) == (8, 2)
    assert stages[0].cpu_s > stages[1].cpu_s >= 0
    assert all(each.wall_s > 0 for each in stages)


def test_standardising_knows_the_training_part_alone() -> None:
    train = Samples(DRAWS.normal(3.0, 5.0, size=(50, 2)), np.zeros(50))
    constant = np.column_stack([train.x, np.full(50, 9.0)])
    test = Samples(DRAWS.normal(100.0, 1.0, size=(20, 3)), np.zeros(20))
    scaled, _ = standardised(Parts(Samples(constant, train.y), test))
    np.testing.assert_allclose(scaled.train.x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.train.x[:, :2].std(axis=0), 1, atol=1e-6)
    assert scaled.test.x[:, 0].mean() > 10
    elsewhere, _ = standardised(Parts(Samples(constant, train.y), Samples(-test.x, test.y)))
    assert np.array_equal(elsewhere.train.x, scaled.train.x)


def test_the_vocabulary_knows_the_training_part_alone() -> None:
    parts, _ = split_texts(3)(library())
    held = frozenset(
        number for number, document in enumerate(library().documents) if document in parts.test.documents
    )
    assert 1 <= len(held) <= 3
    plain = words_data(3, read=reader(library()))
    marked = words_data(3, read=reader(library(marker="zword", only=held)))
    assert np.array_equal(plain.train_x, marked.train_x)
    assert plain.vocabulary == marked.vocabulary
    assert not (plain.test_x == UNKNOWN).any()
    assert (marked.test_x == UNKNOWN).any()
    trained = words_data(3, read=reader(library(marker="zword", only=frozenset(range(20)) - held)))
    assert set(trained.vocabulary) - set(plain.vocabulary) == {"zword"}


def test_documents_are_held_out_whole_and_their_copies_dropped() -> None:
    doubled = Texts(library().documents + library().documents)
    cleaned, note = clean_texts(doubled)
    assert cleaned.rows == 20
    assert note == "0 blank and 20 repeated paragraphs, 20 documents left empty"
    parts, _ = split_texts(0, 0.25)(cleaned)
    assert not set(parts.train.documents) & set(parts.test.documents)
    assert sorted(parts.train.documents + parts.test.documents) == sorted(cleaned.documents)
    assert parts.test.size_bytes / cleaned.size_bytes == pytest.approx(0.25, abs=0.06)


def test_the_target_of_a_word_is_the_next_and_numbers_are_the_words() -> None:
    texts = Texts((("One fish, two fish.\n\nRed  fish, 42 fish.",), ("Blue fish, One fish.",)))
    words = words_data(1, length=4, read=reader(texts))
    assert (words.train_y[:, :-1] == words.train_x[:, 1:]).all()
    told = " ".join(words.vocabulary[token] for token in words.train_x.ravel())
    assert told in (
        "One fish , two fish . <end> Red fish , 4 2 fish . <end>"[: len(told)],
        "Blue fish , One fish . <end>"[: len(told)],
    )
    assert len(words.train_x) >= 1
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    assert version in words.name


def test_hidden_words_are_the_targets_and_all_others_stand() -> None:
    texts = library(60)
    plain, hidden = words_data(0, read=reader(texts)), masked_words_data(0, read=reader(texts))
    rows = len(hidden.train_x) // MASK_COPIES
    assert (rows, len(hidden.test_x)) == (len(plain.train_x), len(plain.test_x))
    true = np.tile(plain.train_x, (MASK_COPIES, 1))
    target = hidden.train_y != IGNORED
    assert (target.sum(axis=1) == 20).all()
    assert (hidden.train_x[~target] == true[~target]).all()
    assert (hidden.train_y[target] == true[target]).all()
    shown, of = hidden.train_x[target], true[target]
    deviation = 1 / np.sqrt(len(shown))
    assert (shown == MASK).mean() == pytest.approx(0.8, abs=2 * deviation)
    # A tenth are random words, one in eight of which is the true one by chance.
    assert ((shown != MASK) & (shown != of)).mean() == pytest.approx(0.1 * 7 / 8, abs=2 * deviation)
    assert not np.array_equal(target[:rows], target[rows : 2 * rows])


def test_unigram_perplexity_is_that_of_the_shares() -> None:
    train = np.zeros((1, 9), dtype=np.uint16)
    test = np.array([[0, 1]], dtype=np.uint16)
    found = unigram_perplexity(Dataset("a", "none", train, train, test, test), vocabulary=3)
    assert found == pytest.approx(np.sqrt(12 / 10 * 12 / 1))
    # Words drawn evenly are as hard to guess as there are words; targets that do not count do not count.
    even = np.tile(np.arange(8, dtype=np.int16), (1, 4000))
    hidden = np.where(np.arange(even.size) % 3 == 0, IGNORED, even)
    assert unigram_perplexity(Dataset("a", "none", even, even, even, hidden), vocabulary=8) == pytest.approx(
        8, rel=1e-3
    )


def test_docstrings_are_read_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        '"""First."""\nclass A:\n    """Second."""\n    x = """Not this."""\ndef f():\n    "\\d"\n'
    )
    assert _docstrings(source) == "First.\n\nSecond.\n\n\\d"


def test_the_standard_library_is_read_in_order_and_without_what_may_be_missing() -> None:
    modules = [path.as_posix() for path in _modules()]
    assert any(path.endswith("/argparse.py") for path in modules)
    assert any(path.endswith("/json/decoder.py") for path in modules)
    assert not [path for path in modules if "/test/" in path or "/idlelib/" in path or "/tkinter/" in path]
    assert len(set(modules)) == len(modules)


def test_the_command_prints_a_line_a_stage_and_their_sum(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "rings"]) == 0
    title, head, *lines, kept = capsys.readouterr().out.splitlines()
    stages, last, notes = lines[:5], lines[5], lines[6:]
    assert title == "100 points in a disc and a ring (generated)"
    assert [line.split()[0] for line in stages] == ["generate", "clean", "split", "normalise", "encode"]
    assert last.startswith("together")
    assert [line.partition(": ")[0] for line in notes] == [line.split()[0] for line in stages]
    assert kept == "100 samples to train on, 100 held out, 9 B each"
    where = head.index("bytes out") + len("bytes out")
    assert {line[:where].split()[-1] for line in (stages[-1], last)} == {"1,800"}
    assert sum(float(line.split()[1]) for line in stages) == pytest.approx(float(last.split()[1]), abs=5e-4)
