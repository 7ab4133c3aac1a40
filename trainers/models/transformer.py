"""A small causal Transformer over bytes (Vaswani et al. 2017, with the norms before each block)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = ["Attention", "Block", "Transformer"]


class Attention(nn.Module):
    """Causal self-attention with `heads` heads."""

    heads: int

    @nn.compact
    def __call__(self, x_BxLxD: jax.Array) -> jax.Array:
        """Return what each position gathers from itself and the positions before it."""
        length, width = x_BxLxD.shape[-2:]
        head_width = width // self.heads
        qkv_BxLx3xHxK = nn.DenseGeneral((3, self.heads, head_width), use_bias=False)(x_BxLxD)
        q_BxLxHxK, k_BxLxHxK, v_BxLxHxK = jnp.moveaxis(qkv_BxLx3xHxK, -3, 0)
        scores_BxHxLxL = jnp.einsum("bqhk,bshk->bhqs", q_BxLxHxK, k_BxLxHxK) / jnp.sqrt(head_width)
        causal_LxL = jnp.tril(jnp.ones((length, length), dtype=bool))
        weights_BxHxLxL = nn.softmax(jnp.where(causal_LxL, scores_BxHxLxL, -1e9))
        mixed_BxLxHxK = jnp.einsum("bhqs,bshk->bqhk", weights_BxHxLxL, v_BxLxHxK)
        out_BxLxD: jax.Array = nn.DenseGeneral(width, axis=(-2, -1), use_bias=False)(mixed_BxLxHxK)
        return out_BxLxD


class Block(nn.Module):
    """Attention, then a feed-forward layer four times as wide, each added to its input."""

    heads: int

    @nn.compact
    def __call__(self, x_BxLxD: jax.Array) -> jax.Array:
        """Return the refined sequence, same shape."""
        width = x_BxLxD.shape[-1]
        x_BxLxD = x_BxLxD + Attention(self.heads)(nn.LayerNorm(use_bias=False)(x_BxLxD))
        h_BxLxF = nn.gelu(nn.Dense(4 * width, use_bias=False)(nn.LayerNorm(use_bias=False)(x_BxLxD)))
        y_BxLxD: jax.Array = nn.Dense(width, use_bias=False)(h_BxLxF)
        return x_BxLxD + y_BxLxD


class Transformer(nn.Module):
    """Predicts the next byte at every position."""

    width: int = 64
    heads: int = 4
    blocks: int = 2
    vocabulary: int = 256

    @nn.compact
    def __call__(self, x_BxL: jax.Array, *, train: bool = False) -> jax.Array:
        """Return the logits of the next byte, shape B x L x V."""
        positions = self.param("positions", nn.initializers.normal(0.02), (x_BxL.shape[-1], self.width))
        x_BxLxD = nn.Embed(self.vocabulary, self.width)(x_BxL.astype(jnp.int32)) + positions
        for _ in range(self.blocks):
            x_BxLxD = Block(self.heads)(x_BxLxD)
        logits_BxLxV: jax.Array = nn.Dense(self.vocabulary, use_bias=False)(nn.LayerNorm()(x_BxLxD))
        return logits_BxLxV
