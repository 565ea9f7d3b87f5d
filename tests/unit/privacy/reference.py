"""The discrete Gaussian once more, as slowly and plainly as the paper writes it, and its exact probabilities."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import numpy.typing as npt


def bernoulli_exp(gamma: Fraction, rng: random.Random) -> bool:
    """Algorithm 1 of Canonne, Kamath and Steinke: true with probability exp(-gamma)."""
    while gamma > 1:
        if not bernoulli_exp(Fraction(1), rng):
            return False
        gamma -= 1
    k = 1
    while rng.randrange(gamma.denominator * k) < gamma.numerator:
        k += 1
    return k % 2 == 1


def laplace(scale: int, rng: random.Random) -> int:
    """Algorithm 2, for a whole scale."""
    while True:
        u = rng.randrange(scale)
        if not bernoulli_exp(Fraction(u, scale), rng):
            continue
        v = 0
        while bernoulli_exp(Fraction(1), rng):
            v += 1
        negative, size = rng.randrange(2), u + scale * v
        if not (negative and size == 0):
            return -size if negative else size


def gaussian(square: Fraction, rng: random.Random) -> int:
    """Algorithm 3: a discrete Gaussian of any rational sigma^2."""
    t = math.isqrt(math.floor(square)) + 1
    while True:
        y = laplace(t, rng)
        if bernoulli_exp((abs(y) - square / t) ** 2 / (2 * square), rng):
            return y


def probabilities(sigma: float, tail: int) -> npt.NDArray[np.float64]:
    """P[X = x] for x from -tail to tail."""
    x = np.arange(-tail, tail + 1)
    weights = np.exp(-(x.astype(float) ** 2) / (2 * sigma**2))
    total: npt.NDArray[np.float64] = weights / weights.sum()
    return total
