"""Variational auto-encoders from scratch: the library of ENM5310, lecture 22.

Each module is one slide (``pca`` is slides 2-3, ``vae`` slides 8-9, ...); import the module you read about.

Conventions, the same in every module and notebook:

- rows are samples: ``X`` has shape (n, p);
- the covariance is X'X / n, the slide's 1/n, not 1/(n - 1);
- information is in nats; log-likelihoods sum over features and average over samples;
- encoder heads are ``mean, logvar`` with logvar = log sigma^2;
- the objective called ``elbo`` is maximised;
- noise is an argument (``eps``), never drawn inside the maths; randomness comes from a ``numpy.random.Generator``;
- float32 in, float32 out; float64 where the input is float64.
"""

__version__ = "0.1.0"
