"""The pre-norm transformer block that the encoders share, with the parameter names of published checkpoints."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head self-attention over the tokens that are visible."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Attend. ``tokens`` [batch, token, width]; ``visible`` bool [batch, token]; the shape stays."""
        batch, count, width = tokens.shape
        query, key, value = self.qkv(tokens).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible[:, None, None, :])
        return self.proj(seen.transpose(1, 2).reshape(batch, count, width))


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform each token by itself; the shape stays."""
        return self.fc2(functional.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Attention, then feed-forward, each on normalised tokens and added to them."""

    def __init__(self, width: int, heads: int, mlp_ratio: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, int(width * mlp_ratio))

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Transform ``tokens`` [batch, token, width]; those not ``visible`` influence no other."""
        tokens = tokens + self.attn(self.norm1(tokens), visible)
        return tokens + self.mlp(self.norm2(tokens))


def mean_of_visible(tokens: Tensor, visible: Tensor) -> Tensor:
    """Mean over the visible tokens: [batch, token, width], bool [batch, token] -> [batch, width]."""
    weight = visible.to(tokens.dtype).unsqueeze(-1)
    return (tokens * weight).sum(dim=1) / torch.clamp(weight.sum(dim=1), min=1)
