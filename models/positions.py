"""Sine-cosine tables that tell a transformer where and when a token is."""

import torch
from torch import Tensor


def frequencies(width: int) -> Tensor:
    """Angular frequencies [width / 2] of Vaswani et al. 2017 (arXiv:1706.03762), falling from 1 to nearly 1/10,000."""
    return 10_000 ** -(torch.arange(width // 2) / (width / 2))


def sine_cosine(positions: Tensor, omega: Tensor) -> Tensor:
    """Sines, then cosines, of positions [...] at the frequencies omega [n]: float [..., 2 n]."""
    angle = positions[..., None] * omega
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def sine_cosine_plane(side: int, step: float, omega: Tensor) -> Tensor:
    """Positions on a square grid at the frequencies omega [n]: float [side, side, 4 n], the column's part first.

    Args:
        side: Rows and columns of the grid.
        step: Distance of neighbours.
        omega: Of either direction.
    """
    line = sine_cosine(step * torch.arange(side, device=omega.device), omega)
    return torch.cat([line.expand(side, -1, -1), line[:, None].expand(-1, side, -1)], dim=-1)


def unit_sphere(latlon: Tensor) -> Tensor:
    """Cartesian coordinates [batch, 3] on the unit sphere of latitudes and longitudes [batch, 2] in degrees."""
    lat, lon = torch.deg2rad(latlon).unbind(dim=-1)
    return torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], dim=-1)
