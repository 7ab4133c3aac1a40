"""The double binary tree: two trees over the same members, in each of which half of them are leaves.

Each tree carries half of the message. A member that passes data on in one tree is a leaf of the other (all but
one member where their number is odd), so none sends more than twice the message, as in a ring, but the depth is
logarithmic.

Source: Sanders, Speck, Traeff, Two-tree algorithms for full bandwidth broadcast, reduction and scan,
Parallel Computing 35 (2009) 581-594, doi:10.1016/j.parco.2009.09.001; NCCL uses it between servers.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["double_tree", "tree_depth"]


def tree_depth(members: int) -> int:
    """Return the edges from the root of one tree to its deepest leaf: ceil(log2 n).

    >>> [tree_depth(n) for n in (1, 2, 3, 4, 5, 8, 9)]
    [0, 1, 2, 2, 3, 3, 4]
    """
    return (members - 1).bit_length()


@lru_cache(maxsize=256)
def double_tree(members: int) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Return the edges (child, parent) of both trees over members 0 to n - 1.

    The first tree is the in-order tree of the labels, below its root 0. The second is its mirror image where
    n is even, and the first with all labels shifted by one where n is odd.

    >>> double_tree(4)
    (((1, 2), (2, 0), (3, 2)), ((2, 1), (1, 3), (0, 1)))
    """
    first = tuple((label, _parent(label, members)) for label in range(1, members))
    if members % 2 == 0:
        second = tuple((members - 1 - child, members - 1 - parent) for child, parent in first)
    else:
        second = tuple(((child + 1) % members, (parent + 1) % members) for child, parent in first)
    return first, second


def _parent(label: int, members: int) -> int:
    """Return the parent of a label > 0: its lowest bit goes one place up, or away where that is too large."""
    bit = label & -label
    above = (label & ~bit) | (bit << 1)
    return above if above < members else label & ~bit
