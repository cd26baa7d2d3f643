"""Adversarial games (slide 4): a generator fools a discriminator, and a discriminator is a density ratio.

The discriminator is given by its logit t(x), D = s(t) = 1 / (1 + e^-t): t_p (n,) on samples of the data p, t_q (m,) on
those of the model q.  Weights w_p, w_q as in `ratios.mean`.  The best t is log p(x) / q(x), the ratio of `ratios`.
"""

from math import log

import autograd.numpy as np
from autograd import grad, value_and_grad

from enm5310 import nets, ratios
from enm5310.distributions import log_bernoulli, sigmoid, softplus
from enm5310.gradients import reparameterization
from enm5310.optimize import adam, train
from enm5310.ratios import mean

# -------------------- the objective --------------------


def optimal_discriminator(log_p, log_q):
    """D* = p / (p + q) = s(log p - log q), from log densities (n,): exact in the tails, where p and q underflow."""
    return sigmoid(log_p - log_q)


def value(t_p, t_q, w_p=None, w_q=None):
    """V(D, G) = E_p log D + E_q log(1 - D); at D* it is -log 4 + 2 JSD(p, q), and -log 4 when p = q.

    D maximises it and G minimises it.  Source: Goodfellow et al. (2014), equation 1 and theorem 1.
    """
    return -2 * ratios.log_loss(t_p, t_q, w_p, w_q)


def jsd(log_r_p, log_r_q, w_p=None, w_q=None):
    """JSD(p, q) = 1/2 KL(p || m) + 1/2 KL(q || m), m = (p + q) / 2, from log r = log p/q on samples of p and q; nats.

    Between 0 and ln 2, and ln 2 when the supports do not meet: then it has no slope for G to follow.
    """
    return log(2) - ratios.log_loss(log_r_p, log_r_q, w_p, w_q)


def saturating(t_q):
    """log(1 - D), shape (m,), which G minimises in the game as stated: no slope where D is sure of itself."""
    return -softplus(t_q)


def saturating_slope(t_q):
    """d/dt log(1 - s(t)) = -D: -0.01 at D = 0.01, when G has most to learn."""
    return -sigmoid(t_q)


def non_saturating(t_q):
    """-log D, shape (m,), which G minimises in practice: another game with the same fixed point, not zero-sum."""
    return softplus(-t_q)


def non_saturating_slope(t_q):
    """-d/dt log s(t) = -(1 - D): -0.99 at D = 0.01."""
    return -sigmoid(-t_q)


# name: f'(e^v) and f*(f'(e^v)) for D_f(p, q) = E_q f(p/q), written so that no two large terms cancel
F_DIVERGENCES = {
    "kl": (lambda v: 1 + v, lambda v: np.exp(v)),  # f(u) = u log u
    "reverse kl": (lambda v: -np.exp(-v), lambda v: v - 1),  # -log u
    "pearson": (lambda v: 2 * np.expm1(v), lambda v: np.expm1(2 * v)),  # (u - 1)^2
    "hellinger": (lambda v: -np.expm1(-v / 2), lambda v: np.expm1(v / 2)),  # (sqrt(u) - 1)^2
    "gan": (lambda v: -softplus(-v), lambda v: softplus(v)),  # u log u - (u + 1) log(u + 1) = 2 JSD - log 4
}


def f_gan_bound(name, v_p, v_q, w_p=None, w_q=None):
    """E_p[T] - E_q[f*(T)] <= D_f(p, q), T = f'(e^v), for any function v(x); equality where v = log p/q.

    name: "kl" (as `ratios.nwj_bound`), "reverse kl", "pearson", "hellinger" or "gan" (as `value`).
    Source: Nowozin, Cseke & Tomioka (2016), with output activations chosen so that v estimates log r for every f.
    """
    slope, conjugate = F_DIVERGENCES[name]
    return mean(slope(v_p), w_p) - mean(conjugate(v_q), w_q)


# -------------------- the dynamics --------------------


def field(L):
    """F(x, y) = (grad_x L, -grad_y L): the game min_x max_y L(x, y), each player's own downhill direction being -F."""
    return lambda x, y: (grad(L, 0)(x, y), -grad(L, 1)(x, y))


def _move(z, g, eta):
    return tuple(z - eta * g for z, g in zip(z, g, strict=True))


def simultaneous(F, z, eta, past=None):
    """z <- z - eta F(z).  On L = xy each step multiplies the distance to the solution by sqrt(1 + eta^2)."""
    return _move(z, F(*z), eta), None


def alternating(F, z, eta, past=None):
    """x moves first, y answers the new x.  On L = xy it circles for ever; the average of the circle is the solution."""
    x, _ = _move(z, F(*z), eta)
    _, y = _move(z, F(x, z[1]), eta)
    return (x, y), None


def extragradient(F, z, eta, past=None):
    """z <- z - eta F(z - eta F(z)): look ahead, then move.  Source: Korpelevich (1976)."""
    return _move(z, F(*_move(z, F(*z), eta)), eta), None


def optimistic(F, z, eta, past=None):
    """z <- z - eta (2 F(z) - F(z_before)): extragradient that remembers its look ahead instead of taking one.

    Source: Popov (1980); Daskalakis et al. (2018).
    """
    g = F(*z)
    return _move(z, [2 * now - before for now, before in zip(g, past or g, strict=True)], eta), g


def play(F, z, eta, steps, rule=extragradient, callback=None):
    """The path of a game from z = (x, y): arrays X (steps + 1, ...), Y (steps + 1, ...), the start included.

    callback(t, z) may return True to stop; KeyboardInterrupt returns the path so far.
    """
    z = tuple(np.array(player) * 1.0 for player in z)  # times 1.0: autograd would round gradients of integers
    path, past = [z], None
    try:
        for t in range(steps):
            z, past = rule(F, z, eta, past)
            path.append(z)
            if callback is not None and callback(t, z):
                break
    except KeyboardInterrupt:
        pass
    return tuple(np.array(player) for player in zip(*path, strict=True))


def running_average(path):
    """(z_0 + ... + z_t) / (t + 1) for every t, shape of path (T, ...)."""
    count = np.arange(1, len(path) + 1, dtype=path.dtype)
    return np.cumsum(path, axis=0) / np.reshape(count, (-1,) + (1,) * (np.ndim(path) - 1))


# -------------------- a GAN in one dimension --------------------


def generator(eps, theta):
    """x = shift + scale eps ~ N(shift, scale^2) for eps ~ N(0, 1); theta = (shift, scale).

    A negative scale is as good: it gives the same law.
    """
    return theta[..., 0] + theta[..., 1] * eps


def generator_gradient(log_ratio, theta, eps, loss=non_saturating):
    """grad_theta loss(t(shift + scale eps_s)), shape (S, 2): pathwise, through a discriminator that stands still."""
    return reparameterization(lambda x: loss(log_ratio(x)), generator, theta, eps)


def fit_gan(x, theta, rng, steps=300, batch=256, ridge=1e-3, lr=0.05, callback=None):
    """Fit x = shift + scale eps to the data x (n,), by a game: a Run whose params are theta = (shift, scale).

    Each step first plays D to its optimum (logistic regression on (1, x, x^2), `ratios.fit_logistic`), then moves G
    along `generator_gradient` by Adam.  The ridge keeps D finite while data and samples do not overlap.  Run.values
    holds the value of the game: -log 4 at the solution, where D = 1/2, but no measure of G on the way there.
    """

    x = x.astype(np.result_type(x, np.float32), copy=False)  # whole numbers would round the noise

    def value_and_gradient(theta, _, t):
        real, eps = rng.choice(x, batch), rng.standard_normal(batch).astype(x.dtype)
        fake = generator(eps, theta)
        D = ratios.fit_logistic(ratios.polynomial(real), ratios.polynomial(fake), ridge)

        def log_ratio(x):
            return ratios.log_ratio(D, ratios.polynomial(x))

        return value(log_ratio(real), log_ratio(fake)), np.mean(generator_gradient(log_ratio, theta, eps), axis=0)

    return train(value_and_gradient, theta, range(steps), adam, callback, lr)


# -------------------- adversarial variational Bayes --------------------


def implicit_encode(encoder, x, eps):
    """z = z_phi(x, eps), shape (n, k): a sample of q(z | x) from a network fed with noise; q has no formula."""
    return nets.apply(encoder, np.concatenate([x, eps], axis=1), nets.relu)


def critic_logit(critic, x, z):
    """T(x, z), shape (n,): at its optimum log q(z | x) / p(z), the classifier of `ratios` between q and the prior."""
    return nets.apply(critic, np.concatenate([x, z], axis=1), nets.relu)[:, 0]


def avb_elbo(decoder, critic, x, z):
    """log p(x | z) - T(x, z), shape (n,), for z ~ q(z | x): the ELBO once T is optimal; Bernoulli decoder, x in {0, 1}.

    Source: Mescheder, Nowozin & Geiger (2017), equation 3.7 and proposition 1.
    """
    return log_bernoulli(x, nets.apply(decoder, z, nets.relu)) - critic_logit(critic, x, z)


def avb_losses(model, critic, x, eps, z_prior):
    """(-ELBO, critic's log loss) of the two players, whose gradients they follow with the other player held still.

    model = (encoder, decoder).  T may be held still although it depends on q: at its optimum E_q[grad T] = 0.
    """
    z = implicit_encode(model[0], x, eps)
    return -np.mean(avb_elbo(model[1], critic, x, z)), ratios.log_loss(
        critic_logit(critic, x, z), critic_logit(critic, x, z_prior)
    )


def fit_avb(x, rng, steps=3000, copies=64, k=2, hidden=32, lr=3e-3, callback=None):
    """Train encoder, decoder and critic on the rows of x (n, p), binary: a Run whose params are (model, critic).

    Both players move at once, by Adam, the critic three times as fast.  On the four rows of np.eye(4) the likelihood
    cannot exceed 1/4 per row, so the best average is -log 4: each point owns a quarter of the latent plane, which no
    Gaussian q can fill.  Run.values holds -(estimated ELBO), which may overshoot while T lags behind.
    """
    p, x = x.shape[1], x.astype(np.result_type(x, np.float32), copy=False)
    model = [nets.init(sizes, rng, x.dtype) for sizes in ([p + k, hidden, hidden, k], [k, hidden, p])]
    players = (model, nets.init([p + k, hidden, hidden, 1], rng, x.dtype))
    x = np.tile(x, (copies, 1))

    def value_and_gradient(players, _, t):
        eps, z_prior = rng.standard_normal((2, len(x), k)).astype(x.dtype)
        loss, g_model = value_and_grad(lambda model: avb_losses(model, players[1], x, eps, z_prior)[0])(players[0])
        z = implicit_encode(players[0][0], x, eps)
        g_critic = grad(lambda T: ratios.log_loss(critic_logit(T, x, z), critic_logit(T, x, z_prior)))(players[1])
        return loss, (g_model, g_critic)

    return train(value_and_gradient, players, range(steps), _critic_three_times_as_fast, callback, lr)


def _critic_three_times_as_fast(players, gradients, state, lr):
    moved = [
        adam(*part, rate) for *part, rate in zip(players, gradients, state or (None, None), (lr, 3 * lr), strict=True)
    ]
    return tuple(params for params, _ in moved), tuple(memory for _, memory in moved)
