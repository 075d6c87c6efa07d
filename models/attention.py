"""The pre-norm transformer block that the encoders share, with the parameter names of published checkpoints."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head self-attention over the tokens that are visible; query, key and value are one layer."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self._make_inputs(width)
        self.proj = nn.Linear(width, width)

    def _make_inputs(self, width: int) -> None:
        self.qkv = nn.Linear(width, 3 * width)

    def _inputs(self, tokens: Tensor) -> tuple[Tensor, ...]:
        return self.qkv(tokens).chunk(3, dim=-1)

    def forward(self, tokens: Tensor, visible: Tensor | None = None) -> Tensor:
        """Attend. ``tokens`` [batch, token, width]; ``visible`` bool [batch, token], None for all; the shape stays."""
        batch, count, width = tokens.shape
        query, key, value = (part.view(batch, count, self.heads, -1).transpose(1, 2) for part in self._inputs(tokens))
        mask = None if visible is None else visible[:, None, None, :]
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.proj(seen.transpose(1, 2).reshape(batch, count, width))


class SeparateAttention(Attention):
    """The same, where the checkpoint has a layer each for query, key and value."""

    def _make_inputs(self, width: int) -> None:
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))

    def _inputs(self, tokens: Tensor) -> tuple[Tensor, ...]:
        return self.q(tokens), self.k(tokens), self.v(tokens)


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform each token by itself; the shape stays."""
        return self.fc2(functional.gelu(self.fc1(tokens)))


class LayerScale(nn.Module):
    """A learned factor per feature (Touvron et al. 2021, arXiv:2103.17239)."""

    def __init__(self, width: int, start: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), start))

    def forward(self, tokens: Tensor) -> Tensor:
        """Scale the features; the shape stays."""
        return tokens * self.gamma


class Block(nn.Module):
    """Attention, then feed-forward, each on normalised tokens and added to them.

    Args:
        width: Length of a token.
        heads: Of the attention; they divide the width.
        mlp_ratio: Width of the hidden layer of the feed-forward part, in widths of a token.
        eps: Of the layer norms.
        attention: How the checkpoint keeps query, key and value.
        layer_scale: Start value of the factors on what is added (``ls1``, ``ls2``); None where there are none.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: float,
        eps: float = 1e-5,
        attention: type[Attention] = Attention,
        layer_scale: float | None = None,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps)
        self.attn = attention(width, heads)
        self.ls1 = nn.Identity() if layer_scale is None else LayerScale(width, layer_scale)
        self.norm2 = nn.LayerNorm(width, eps)
        self.mlp = FeedForward(width, int(width * mlp_ratio))
        self.ls2 = nn.Identity() if layer_scale is None else LayerScale(width, layer_scale)

    def forward(self, tokens: Tensor, visible: Tensor | None = None) -> Tensor:
        """Transform ``tokens`` [batch, token, width]; those not ``visible`` [batch, token] influence no other."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens), visible))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


def mean_of_visible(tokens: Tensor, visible: Tensor) -> Tensor:
    """Mean over the visible tokens: [batch, token, width], bool [batch, token] -> [batch, width]."""
    weight = visible.to(tokens.dtype).unsqueeze(-1)
    return (tokens * weight).sum(dim=1) / torch.clamp(weight.sum(dim=1), min=1)
