"""The training step of the scripts that use PyTorch."""

from collections.abc import Callable

import numpy as np
import torch
from protocol import Case


def make(
    work: Case, model: torch.nn.Module, loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> Callable[[np.ndarray, np.ndarray], float]:
    """Makes the step, with PyTorch's fused AdamW.

    Args:
      work: the work.
      model: what to train.
      loss_of: (pictures float32 [batch, 3, size, size] in [-1, 1], tokens int64 [batch, length]) -> the loss.
    """
    torch.set_num_threads(work.threads)
    model.train()
    parameters = list(model.parameters())
    kernels = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": kernels, "weight_decay": work.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=work.learning_rate,
        betas=(work.beta_1, work.beta_2),
        eps=work.epsilon,
        fused=True,
    )

    def step(pictures: np.ndarray, tokens: np.ndarray) -> float:
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        loss = loss_of(pixels, torch.from_numpy(tokens).long())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, work.clip_norm)
        optimizer.step()
        return loss.item()

    return step


def size(model: torch.nn.Module) -> int:
    """Number of trained numbers."""
    return sum(parameter.numel() for parameter in model.parameters())
