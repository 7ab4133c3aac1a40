"""Transformers (Vaswani et al. 2017, with the norms before each block): causal, or seeing both ways."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.linear import default_embed_init

__all__ = ["Attention", "Block", "Transformer"]

_EMBEDDING_DEVIATION = 0.02
_SLOPE = 2.0
"""By which a head's first bias falls with each position farther from its peak: 3 / 4 of its weight lie there."""


def _peaks(offsets: Iterable[int], shape: tuple[int, ...]) -> jax.Array:
    """Return biases by head and distance, from the farthest before to the farthest behind: one peak a head.

    Heads that each look at one distance are a convolution (Cordonnier et al., ICLR 2020, theorem 1). A hidden word is
    known by its neighbours only, and where no head knows of them at first a network has yet to find them. The fall is
    a straight line, as in ALiBi (Press et al., ICLR 2022).
    """
    offsets_H, farthest = jnp.array(list(offsets)), shape[1] // 2
    distances_R = jnp.arange(-farthest, farthest + 1)
    return -_SLOPE * jnp.abs(distances_R - offsets_H[:, None]).astype(jnp.float32)


def _either_side(_: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return biases with peaks at the nearest positions, half of them before and half behind, not at its own."""
    before = shape[0] // 2
    return _peaks((*range(-before, 0), *range(1, shape[0] - before + 1)), shape)


def _earlier(_: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return biases with peaks at the position itself and those before it."""
    return _peaks(range(0, -shape[0], -1), shape)


class Attention(nn.Module):
    """Self-attention with `heads` heads; causal: to no later position."""

    heads: int
    causal: bool = True
    relative: bool = False
    """Whether a learnt number for each head and distance is added to its scores (Raffel et al. 2020, section 2.1)."""
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxLxD: jax.Array) -> jax.Array:
        """Return what each position gathers from itself and those it sees."""
        length, width = x_BxLxD.shape[-2:]
        head_width = width // self.heads
        qkv_BxLx3xHxK = nn.DenseGeneral((3, self.heads, head_width), use_bias=False, dtype=self.dtype)(
            x_BxLxD
        )
        q_BxLxHxK, k_BxLxHxK, v_BxLxHxK = jnp.moveaxis(qkv_BxLx3xHxK, -3, 0)
        scores_BxHxLxL = jnp.einsum("bqhk,bshk->bhqs", q_BxLxHxK, k_BxLxHxK) / jnp.sqrt(head_width)
        scores_BxHxLxL = scores_BxHxLxL.astype(jnp.float32)  # a softmax in bf16 loses what is small
        if self.relative:
            first = _earlier if self.causal else _either_side
            bias_HxR = self.param("relative_bias", first, (self.heads, 2 * length - 1))
            places_L = jnp.arange(length)
            scores_BxHxLxL += jnp.asarray(bias_HxR)[:, places_L[None, :] - places_L[:, None] + length - 1]
        if self.causal:
            causal_LxL = jnp.tril(jnp.ones((length, length), dtype=bool))
            scores_BxHxLxL = jnp.where(causal_LxL, scores_BxHxLxL, -1e9)
        weights_BxHxLxL = nn.softmax(scores_BxHxLxL).astype(self.dtype)
        mixed_BxLxHxK = jnp.einsum("bhqs,bshk->bqhk", weights_BxHxLxL, v_BxLxHxK)
        out_BxLxD: jax.Array = nn.DenseGeneral(width, axis=(-2, -1), use_bias=False, dtype=self.dtype)(
            mixed_BxLxHxK
        )
        return out_BxLxD


class Block(nn.Module):
    """Attention, then a feed-forward layer four times as wide, each added to its input."""

    heads: int
    causal: bool = True
    relative: bool = False
    dropout: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxLxD: jax.Array, *, train: bool = False) -> jax.Array:
        """Return the refined sequence, same shape."""
        width = x_BxLxD.shape[-1]
        h_BxLxD = nn.LayerNorm(use_bias=False, dtype=self.dtype)(x_BxLxD)
        h_BxLxD = Attention(self.heads, self.causal, self.relative, self.dtype)(h_BxLxD)
        x_BxLxD = x_BxLxD + nn.Dropout(self.dropout, deterministic=not train)(h_BxLxD)
        h_BxLxD = nn.LayerNorm(use_bias=False, dtype=self.dtype)(x_BxLxD)
        h_BxLxF = nn.gelu(nn.Dense(4 * width, use_bias=False, dtype=self.dtype)(h_BxLxD))
        y_BxLxD: jax.Array = nn.Dense(width, use_bias=False, dtype=self.dtype)(h_BxLxF)
        y_BxLxD = nn.Dropout(self.dropout, deterministic=not train)(y_BxLxD)
        return x_BxLxD + y_BxLxD


class Transformer(nn.Module):
    """Predicts the next token at every position or, where it is not causal, the token that was hidden there."""

    width: int = 64
    heads: int = 4
    blocks: int = 2
    vocabulary: int = 256
    causal: bool = True
    tied: bool = False
    """Whether tokens are read and predicted by one matrix (Press and Wolf, EACL 2017)."""
    relative: bool = False
    """Whether attention knows of distances, besides the positions that are added to the tokens."""
    dropout: float = 0.0
    """After the embedding, and of what each block adds (Vaswani et al. 2017, section 5.4)."""
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxL: jax.Array, *, train: bool = False) -> jax.Array:
        """Return the logits of a token at every position, shape B x L x V, fp32."""
        near_zero = nn.initializers.normal(_EMBEDDING_DEVIATION)
        positions = self.param("positions", near_zero, (x_BxL.shape[-1], self.width))
        # Of one that only reads, Flax's own first values; as logits they would start far from even chances.
        first = near_zero if self.tied else default_embed_init
        embed = nn.Embed(self.vocabulary, self.width, dtype=self.dtype, embedding_init=first)
        x_BxLxD = embed(x_BxL.astype(jnp.int32)) + positions.astype(self.dtype)
        x_BxLxD = nn.Dropout(self.dropout, deterministic=not train)(x_BxLxD)
        for _ in range(self.blocks):
            block = Block(self.heads, self.causal, self.relative, self.dropout, self.dtype)
            x_BxLxD = block(x_BxLxD, train=train)
        x_BxLxD = nn.LayerNorm(dtype=self.dtype)(x_BxLxD)
        logits_BxLxV: jax.Array = (
            embed.attend(x_BxLxD)
            if self.tied
            else nn.Dense(self.vocabulary, use_bias=False, dtype=self.dtype)(x_BxLxD)
        )
        return logits_BxLxV.astype(jnp.float32)
