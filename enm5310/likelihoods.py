"""What a decoder says of x (slides 8-9): the likelihoods p(x | output) that a VAE can be given, or its name for one."""

from collections.abc import Callable
from math import log
from typing import NamedTuple

import autograd.numpy as np

from enm5310 import distributions, fused


class Likelihood(NamedTuple):
    """p(x | output) for what the decoder puts out, (n, p): logits for pixels in [0, 1], means for real numbers."""

    log_p: Callable  # (x, output) -> (n,), summed over features
    slope: Callable  # (x, output) -> d log_p / d output, (n, p)
    mean: Callable  # output -> E[x | output], (n, p)
    draw: Callable  # (output, noise) -> x, (n, p); noise is uniform in [0, 1), standard normal for the Gaussian
    both: Callable | None = None  # log_p and slope from one pass, where that is faster

    def log_p_and_slope(self, x, output):
        """(n,) and (n, p), for a gradient by hand."""
        return self.both(x, output) if self.both else (self.log_p(x, output), self.slope(x, output))


def gaussian(sigma=1.0):
    """N(output, sigma^2 I): |x - f(z)|^2 with a scale; slide 9's bare square is sigma^2 = 1/2.

    As sigma -> 0 the likelihood of a perfect reconstruction grows without bound.  Raises ValueError unless sigma > 0.
    """
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; at 0 the density is infinite on a point, so give a positive scale")
    sigma = float(sigma)  # a NumPy scalar would turn float32 into float64
    return Likelihood(
        lambda x, output: distributions.log_gaussian(
            x, output, np.full_like(output, 2 * log(sigma), shape=np.shape(x)[-1:])
        ),
        lambda x, output: (x - output) / sigma**2,
        lambda output: output,
        lambda output, noise: output + sigma * noise,
    )


def _draw_continuous_bernoulli(l, u):
    # solves F(x) = (e^(l x) - 1) / (e^l - 1) = u, for -|l| so that nothing overflows: 1 - x has logit -l
    t, u = -np.abs(l), np.where(l > 0, 1 - u, u)
    u = np.minimum(u, 1 - float(np.finfo(u.dtype).epsneg))
    x = np.where(t == 0, u, np.log1p(u * np.expm1(t)) / np.where(t == 0, 1, t))
    return np.where(l > 0, 1 - x, x)


bernoulli = Likelihood(
    fused.log_bernoulli,  # `distributions.log_bernoulli` in fewer passes
    lambda x, logits: x - distributions.sigmoid(logits),
    distributions.sigmoid,
    lambda logits, u: (u < distributions.sigmoid(logits)).astype(logits.dtype),
    fused.log_bernoulli_and_slope,
)
continuous_bernoulli = Likelihood(
    distributions.log_continuous_bernoulli,
    lambda x, logits: x - distributions.continuous_bernoulli_mean(logits),
    distributions.continuous_bernoulli_mean,
    _draw_continuous_bernoulli,
)
_NAMED = {"bernoulli": bernoulli, "gaussian": gaussian(), "continuous_bernoulli": continuous_bernoulli}


def likelihood_named(likelihood):
    """The Likelihood called "bernoulli", "gaussian" (sigma = 1) or "continuous_bernoulli"; a Likelihood is itself."""
    if not isinstance(likelihood, Likelihood) and likelihood not in _NAMED:
        raise ValueError(f"no likelihood is called {likelihood!r}: try one of {', '.join(_NAMED)}, or gaussian(sigma)")
    return _NAMED.get(likelihood, likelihood) if isinstance(likelihood, str) else likelihood
