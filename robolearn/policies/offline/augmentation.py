"""Random shifts of pictures, against learning them by heart (DrQ: Yarats et al., ICLR 2021)."""

from __future__ import annotations

import torch
from torch import Tensor


def shifted(pictures: Tensor, largest: int) -> Tensor:
    """Pictures moved by up to so many pixels along each axis, each differently; edges are repeated.

    Args:
        pictures: uint8 (B, h, w, 3), or (B, time, h, w, 3), of which all of one row move alike.
        largest: shift [pixels].
    """
    count, (height, width) = len(pictures), pictures.shape[-3:-1]
    move = torch.randint(-largest, largest + 1, (2, count, 1), device=pictures.device)
    rows = (torch.arange(height, device=pictures.device) + move[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=pictures.device) + move[1]).clamp(0, width - 1)
    which = torch.arange(count, device=pictures.device)[:, None, None]
    if pictures.dim() == 5:
        return pictures.transpose(0, 1)[:, which, rows[:, :, None], columns[:, None, :]].transpose(0, 1)
    return pictures[which, rows[:, :, None], columns[:, None, :]]
