"""Prose that every Python ships: help topics and the docstrings of the standard library, as documents."""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.data.prepare import HELD_OUT, Nothing, Parts

__all__ = ["Texts", "clean_texts", "normalise_texts", "read_standard_library", "split_texts"]

# Distributions leave some of these out; without them the text depends on the version of Python alone.
_LEFT_OUT = frozenset((
    "antigravity", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "this", "tkinter", "turtle",
    "turtledemo", "venv",
))  # fmt: skip
_BLANK_LINE = re.compile(r"\n\s*\n")
_RULE = re.compile(r"([^\w\s])\1{3,}")


@dataclass(frozen=True)
class Texts:
    """Documents in order, each a tuple of paragraphs."""

    documents: tuple[tuple[str, ...], ...]

    @property
    def rows(self) -> int:
        """Paragraphs."""
        return sum(len(paragraphs) for paragraphs in self.documents)

    @property
    def size_bytes(self) -> int:
        """Bytes in UTF-8."""
        return sum(len(text.encode("utf-8")) for paragraphs in self.documents for text in paragraphs)


def read_standard_library(_: Nothing) -> tuple[Texts, str]:
    """Return the help topics and the docstrings of the running interpreter's standard library (PSF licence).

    The text depends on the version of Python alone: modules come in the order of their names, and those are left
    out that some distributions package apart.
    """
    from pydoc_data.topics import topics

    modules = [text for path in _modules() if (text := _docstrings(path))]
    documents = tuple((topics[name],) for name in sorted(topics)) + tuple((text,) for text in modules)
    return Texts(documents), f"{len(topics)} help topics and the docstrings of {len(modules)} modules"


def _modules() -> Iterator[Path]:
    """Yield the source files of the standard library, in order."""
    root = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names - _LEFT_OUT):
        yield from (path for path in [root / f"{name}.py"] if path.is_file())
        found = sorted((root / name).rglob("*.py"), key=lambda path: path.parts)
        yield from (path for path in found if not {"test", "tests", "site-packages"} & set(path.parts))


def _docstrings(path: Path) -> str:
    """Return the docstrings of a source file, the module's first, with blank lines between."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in other people's strings
        tree = ast.parse(path.read_bytes())
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    texts = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    return "\n\n".join(text for text in texts if text)


def clean_texts(texts: Texts) -> tuple[Texts, str]:
    r"""Cut documents into paragraphs at blank lines; drop blank ones and those that an earlier one repeats.

    Without that the held-out part would hold paragraphs that were trained on: many docstrings are copies.

    >>> clean_texts(Texts((("One  line.\n\n \n\nTwo.",), ("One\nline.",))))
    (Texts(documents=(('One line.', 'Two.'),)), '0 blank and 1 repeated paragraphs, 1 documents left empty')
    """
    seen: dict[str, None] = {}
    documents: list[tuple[str, ...]] = []
    blank = repeated = 0
    for document in texts.documents:
        kept: list[str] = []
        for raw in (part for text in document for part in _BLANK_LINE.split(text)):
            paragraph = " ".join(raw.split())
            if not paragraph:
                blank += 1
            elif paragraph in seen:
                repeated += 1
            else:
                seen[paragraph] = None
                kept.append(paragraph)
        documents.append(tuple(kept))
    filled = tuple(document for document in documents if document)
    emptied = len(documents) - len(filled)
    return Texts(filled), f"{blank} blank and {repeated} repeated paragraphs, {emptied} documents left empty"


def split_texts(seed: int, held_out: float = HELD_OUT) -> Callable[[Texts], tuple[Parts[Texts], str]]:
    """Return the stage that keeps whole documents for testing, drawn until they make up that share of the bytes."""

    def split(texts: Texts) -> tuple[Parts[Texts], str]:
        sizes_N = np.array([sum(map(len, document)) for document in texts.documents])
        order_N = np.random.default_rng([seed, len(sizes_N)]).permutation(len(sizes_N))
        before_N = np.cumsum(sizes_N[order_N]) - sizes_N[order_N]
        test_N = np.zeros(len(sizes_N), dtype=bool)
        test_N[order_N[before_N < held_out * sizes_N.sum()]] = True
        train, test = (
            Texts(
                tuple(
                    document
                    for document, is_held in zip(texts.documents, test_N, strict=True)
                    if is_held == held
                )
            )
            for held in (False, True)
        )
        return Parts(
            train, test
        ), f"{len(train.documents)} documents to train on, {len(test.documents)} held out"

    return split


def normalise_texts(parts: Parts[Texts]) -> tuple[Parts[Texts], str]:
    """Write compatible characters alike (Unicode NFKC), and rules such as ===== as three characters.

    >>> parts, _ = normalise_texts(Parts(Texts((("ﬁne ======",),)), Texts(())))
    >>> parts.train.documents
    (('fine ===',),)
    """

    def normal(text: str) -> str:
        return _RULE.sub(r"\1\1\1", unicodedata.normalize("NFKC", text))

    train, test = (
        Texts(tuple(tuple(normal(text) for text in document) for document in part.documents))
        for part in (parts.train, parts.test)
    )
    return Parts(train, test), "Unicode NFKC, rules shortened"
