"""DropConnect: a linear layer that drops weights instead of activations.

Letters in shapes: B batch, I inputs, O outputs.
"""

from __future__ import annotations

from torch import Tensor, nn

from ravine.regularization.noise import Noise

__all__ = ["DropConnect"]


class DropConnect(Noise, nn.Linear):
    """A linear layer whose weights are each zeroed with probability p in training, the rest scaled by 1/(1 - p).

        output[b] = (weight * mask[b] / (1 - p)) @ x[b] + bias

    x: [B, I], or [B, ..., I], where all positions of a sample share its mask; [I] is one sample. Every sample has a
    mask of its own, [B, O, I], so a step takes B times the memory of the weights.
    p: probability of dropping, in [0, 1), else SettingError.

    Source: Wan et al. 2013, with two departures. The bias is kept. And evaluation uses the mean weights, not the
    paper's inference, which samples the layer's output from a normal distribution fitted to its mean and variance
    and averages what the activation makes of it. The output is linear in the mask, so its mean under the mean
    weights is exact; only what follows an activation is approximate, as with dropout. To average there as well,
    use `mc_predict`, which draws real masks.
    """

    def __init__(self, in_features: int, out_features: int, p: float = 0.5, bias: bool = True, seed: int = 0) -> None:
        super().__init__(p, seed, in_features, out_features, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.resting:
            return super().forward(x)
        samples = x.reshape(1, 1, -1) if x.ndim == 1 else x.reshape(x.shape[0], -1, self.in_features)  # [B, ..., I]
        weights = self.dropped(self.weight, [len(samples), self.out_features, self.in_features])  # [B, O, I]
        out = (samples @ weights.mT).reshape(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias
