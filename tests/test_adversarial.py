"""Games and divergences against quadrature, linear algebra and exact likelihoods (slide 4; syllabus T13)."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from enm5310 import adversarial, nets, ratios
from enm5310.distributions import log_bernoulli

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(100)
W = WEIGHTS / np.sqrt(2 * np.pi)
PAIRS = [
    ((0, 1), (1, 1), 0.1114215),
    ((0, 1), (2, 1), 0.3368308),
    ((0, 1), (0, 2), 0.0927334),
    ((0, 1), (4, 1), 0.6327202),
]


def grid(p, q):
    """Nodes, trapezoidal weights of p and of q, and log r, on a grid wide and fine enough for 12 digits."""
    x = np.linspace(-25, 29, 20001)
    log_p, log_q = stats.norm(*p).logpdf(x), stats.norm(*q).logpdf(x)
    return x, np.exp(log_p) * (x[1] - x[0]), np.exp(log_q) * (x[1] - x[0]), log_p - log_q


def jsd_by_quad(p, q):
    p, q = stats.norm(*p).pdf, stats.norm(*q).pdf

    def half(f):
        return (
            integrate.quad(lambda x: f(x) * np.log(2 * f(x) / (p(x) + q(x))) if f(x) else 0, -15, 15, limit=200)[0] / 2
        )

    return half(p) + half(q)


# -------------------- the objective --------------------


@pytest.mark.parametrize(("p", "q", "digits"), PAIRS)
def test_jsd_and_the_value_at_the_optimal_discriminator(p, q, digits):
    _, w_p, w_q, log_r = grid(p, q)
    jsd = adversarial.jsd(log_r, log_r, w_p, w_q)
    assert jsd == pytest.approx(jsd_by_quad(p, q), abs=1e-8)
    assert jsd == pytest.approx(digits, abs=5e-8) and 0 < jsd < 0.6931472
    assert adversarial.value(log_r, log_r, w_p, w_q) == pytest.approx(-np.log(4) + 2 * jsd, abs=1e-9)


def test_value_digits():
    _, w_p, w_q, log_r = grid((0, 1), (1, 1))
    assert adversarial.value(log_r, log_r, w_p, w_q) == pytest.approx(-1.1634514, abs=5e-8)
    assert adversarial.value(np.zeros(3), np.zeros(5)) == pytest.approx(-1.3862944, abs=5e-8)  # p = q: D = 1/2


def test_value_by_loops():
    t_p, t_q = np.array([0.3, -2.0]), np.array([1.0, 0.5, -0.7])
    D = [[1 / (1 + np.exp(-t)) for t in ts] for ts in (t_p, t_q)]
    loops = np.mean([np.log(d) for d in D[0]]) + np.mean([np.log(1 - d) for d in D[1]])
    assert adversarial.value(t_p, t_q) == pytest.approx(loops)


@settings(max_examples=50, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_no_discriminator_beats_the_optimal_one(a, b):
    x, w_p, w_q, log_r = grid((0, 1), (1, 1))
    assert adversarial.value(a + b * x, a + b * x, w_p, w_q) <= adversarial.value(log_r, log_r, w_p, w_q) + 1e-12


def test_optimal_discriminator_in_the_far_tails():
    x = np.array([-40.0, 0.0, 0.5, 40.0])
    D = adversarial.optimal_discriminator(stats.norm(0, 1).logpdf(x), stats.norm(1, 1).logpdf(x))
    # D* = 1 / (1 + e^(x - 1/2)); both densities are about e^-800 = 0 in the tails
    np.testing.assert_allclose(D, [1.0, 1 / (1 + np.exp(-0.5)), 0.5, np.exp(-39.5)], rtol=1e-12)
    assert (
        1 - adversarial.optimal_discriminator(-40.0, 0.0) == 1.0 and adversarial.optimal_discriminator(-40.0, 0.0) > 0
    )
    np.testing.assert_array_equal(adversarial.optimal_discriminator(np.array([1e4, -1e4]), np.zeros(2)), [1, 0])


def test_separated_supports_have_jsd_ln2_and_nowhere_to_go():
    far = np.full(3, 1e4)
    assert adversarial.jsd(far, -far) == pytest.approx(np.log(2))
    assert adversarial.value(far, -far) == 0
    np.testing.assert_array_equal(adversarial.saturating_slope(-far), 0)
    np.testing.assert_array_equal(adversarial.non_saturating_slope(-far), -1)


def test_generator_losses_and_their_slopes():
    t = np.log(0.01 / 0.99)  # D = .01
    assert adversarial.saturating(t) == pytest.approx(np.log(0.99)) and adversarial.non_saturating(t) == pytest.approx(
        -np.log(0.01)
    )
    assert adversarial.saturating_slope(t) == pytest.approx(-0.01) and adversarial.non_saturating_slope(
        t
    ) == pytest.approx(-0.99)
    ts = np.linspace(-50, 50, 101)
    for loss in (adversarial.saturating, adversarial.non_saturating):
        slope = getattr(adversarial, loss.__name__ + "_slope")
        np.testing.assert_allclose(elementwise_grad(loss)(ts), slope(ts), rtol=1e-12, atol=0)
        assert np.all(slope(ts) <= 0)  # both losses pull t, hence D on fakes, upwards
        check_grads(loss, modes=["fwd", "rev"], order=2)(ts[::10] / 10)


def test_the_published_objective_without_the_second_log_is_unbounded():
    x, w_p, w_q, _ = grid((0, 1), (1, 1))  # E_p log s(t) - E_q log s(t) with t = c (1/2 - x) tends to c/2

    def broken(c):
        t = c * (0.5 - x)
        return w_p @ -adversarial.non_saturating(t) - w_q @ -adversarial.non_saturating(t)

    for c in (1.0, 10.0, 100.0):
        assert broken(c) == pytest.approx(c / 2, abs=1e-6)
        assert adversarial.value(c * (0.5 - x), c * (0.5 - x), w_p, w_q) < 0  # the right one never passes zero


F = {
    "kl": lambda u: u * np.log(u),
    "reverse kl": lambda u: -np.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "gan": lambda u: u * np.log(u) - (u + 1) * np.log(u + 1),
}


@pytest.mark.parametrize("name", F)
@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5), st.integers(0, 10**6))
def test_f_gan_bounds_hold_for_any_function_and_are_tight_at_the_log_ratio(name, v, seed):
    p, q = np.random.default_rng(seed).dirichlet(2 * np.ones(5), size=2)  # two laws on five points: sums are exact
    divergence, v = np.sum(q * F[name](p / q)), np.array(v)
    assert adversarial.f_gan_bound(name, v, v, p, q) <= divergence + 1e-9 * (1 + abs(divergence))
    best = np.log(p / q)
    assert adversarial.f_gan_bound(name, best, best, p, q) == pytest.approx(divergence, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", F)
def test_f_gan_conjugate_is_the_legendre_transform(name):
    slope, conjugate = adversarial.F_DIVERGENCES[name]
    u = np.exp(np.linspace(-8, 4, 200001))  # f*(T) = max_u [u T - f(u)], by brute force
    for v in (-2.0, -0.3, 0.0, 1.1):
        assert conjugate(v) == pytest.approx(np.max(u * slope(v) - F[name](u)), abs=1e-6)


def test_f_gan_of_two_gaussians_and_its_relatives():
    _, w_p, w_q, log_r = grid((0, 1), (1, 1))
    bound = {name: adversarial.f_gan_bound(name, log_r, log_r, w_p, w_q) for name in F}
    assert bound["kl"] == pytest.approx(0.5) and bound["reverse kl"] == pytest.approx(0.5)
    assert bound["pearson"] == pytest.approx(np.e - 1)  # chi^2 = e^(1) - 1
    assert bound["hellinger"] == pytest.approx(2 - 2 * np.exp(-1 / 8))
    assert bound["gan"] == pytest.approx(-1.1634514, abs=5e-8)
    v = np.random.default_rng(0).normal(size=(2, 9))
    assert adversarial.f_gan_bound("kl", *v) == pytest.approx(ratios.nwj_bound(1 + v[0], 1 + v[1]))
    assert adversarial.f_gan_bound("gan", *v) == pytest.approx(adversarial.value(*v))


def test_objectives_are_differentiable():
    t_p, t_q = np.random.default_rng(1).normal(size=(2, 4))
    for f in (adversarial.value, adversarial.jsd, *(lambda a, b, n=n: adversarial.f_gan_bound(n, a, b) for n in F)):
        check_grads(lambda t, f=f: f(t, t_q), modes=["fwd", "rev"], order=2)(t_p)
        check_grads(lambda t, f=f: f(t_p, t), modes=["fwd", "rev"], order=2)(t_q)


# -------------------- the dynamics --------------------


def bilinear(x, y):
    return x * y


START = (1.0, 0.0)


def distances(rule, eta=0.1, steps=100):
    X, Y = adversarial.play(adversarial.field(bilinear), START, eta, steps, rule)
    return np.hypot(X, Y)


def test_simultaneous_descent_spirals_out():
    r = distances(adversarial.simultaneous)
    np.testing.assert_allclose(r[1:] / r[:-1], 1.0049876, atol=5e-8)  # sqrt(1 + eta^2)
    assert r[100] == pytest.approx(1.6446318, abs=5e-8)  # 1.01^50


def test_extragradient_contracts_at_its_known_rate():
    r = distances(adversarial.extragradient)
    np.testing.assert_allclose(r[1:] / r[:-1], np.sqrt((1 - 0.1**2) ** 2 + 0.1**2))


@pytest.mark.parametrize("eta", [0.1, 0.3])
def test_optimistic_contracts_at_the_root_of_its_recursion(eta):
    r = distances(adversarial.optimistic, eta, 400)
    # z_{t+1} = (1 - 2 eta i) z_t + eta i z_{t-1} in the complex plane: the rate is the larger root
    root = max(abs(np.roots([1, -1 + 2j * eta, -1j * eta])))
    assert root < 1 and (r[400] / r[200]) ** (1 / 200) == pytest.approx(root, rel=1e-4)


def test_alternating_descent_circles_and_its_average_converges():
    X, Y = adversarial.play(adversarial.field(bilinear), START, 0.1, 3000, adversarial.alternating)
    invariant = X**2 + Y**2 - 0.1 * X * Y  # conserved by x <- x - eta y, y <- y + eta x
    np.testing.assert_allclose(invariant, invariant[0], rtol=1e-9)
    assert np.hypot(adversarial.running_average(X)[-1], adversarial.running_average(Y)[-1]) < 1e-2


def test_each_step_by_hand():
    Fxy = adversarial.field(lambda x, y: x**2 * y + y)  # F = (2xy, -(x^2 + 1)); from (1, 2): (4, -2)
    one = {rule: [p[1] for p in adversarial.play(Fxy, (1.0, 2.0), 0.1, 1, getattr(adversarial, rule))] for rule in
           ("simultaneous", "alternating", "extragradient", "optimistic")}  # fmt: skip
    assert one["simultaneous"] == one["optimistic"] == pytest.approx([0.6, 2.2])
    assert one["alternating"] == pytest.approx([0.6, 2 + 0.1 * 1.36])  # y sees x = .6
    assert one["extragradient"] == pytest.approx([1 - 0.1 * 2 * 0.6 * 2.2, 2 + 0.1 * 1.36])
    X, Y = adversarial.play(Fxy, (1.0, 2.0), 0.1, 2, adversarial.optimistic)
    assert (X[2], Y[2]) == pytest.approx((0.6 - 0.1 * (2 * 2 * 0.6 * 2.2 - 4), 2.2 + 0.1 * (2 * 1.36 - 2)))


@pytest.mark.parametrize("rule", [adversarial.extragradient, adversarial.optimistic])
def test_saddle_point_of_a_matrix_game_away_from_zero(rule):
    rng = np.random.default_rng(2)
    A, x0, y0 = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3)
    eta = 0.3 / np.linalg.norm(A, 2)
    X, Y = adversarial.play(
        adversarial.field(lambda x, y: (x - x0) @ A @ (y - y0)), (np.zeros(3), np.zeros(3)), eta, 3000, rule
    )
    # it contracts by about (1 - (eta s)^2 / 2) per step along each singular direction s
    slow = (1 - (eta * np.linalg.svd(A)[1][-1]) ** 2 / 4) ** 3000
    assert X.shape == (3001, 3)
    assert np.linalg.norm(X[-1] - x0) + np.linalg.norm(Y[-1] - y0) < 10 * slow + 1e-8


def test_two_ascents_with_their_own_optimum_need_no_trick():
    L = adversarial.field(lambda x, y: (x - 1) ** 2 - (y + 2) ** 2 + x * y / 2)
    X, Y = adversarial.play(L, (0.0, 0.0), 0.1, 300, adversarial.simultaneous)
    np.testing.assert_allclose([X[-1], Y[-1]], np.linalg.solve([[2, 0.5], [0.5, -2]], [2, 4]), atol=1e-8)


def test_play_can_be_stopped_and_interrupted():
    seen = []

    def stop(t, z):
        seen.append((t, *z))
        return t == 3

    X, Y = adversarial.play(adversarial.field(bilinear), START, 0.1, 100, adversarial.simultaneous, stop)
    assert [s[0] for s in seen] == [0, 1, 2, 3] and len(X) == len(Y) == 5 and seen[-1][1:] == (X[-1], Y[-1])

    def interrupt(t, z):
        if t == 2:
            raise KeyboardInterrupt

    X, Y = adversarial.play(adversarial.field(bilinear), START, 0.1, 100, adversarial.simultaneous, interrupt)
    assert len(X) == len(Y) == 4


def test_objectives_keep_float32():
    t = np.linspace(-2, 2, 5, dtype=np.float32)
    outs = [adversarial.value(t, t), adversarial.jsd(t, t), adversarial.optimal_discriminator(t, t)]
    outs += [adversarial.f_gan_bound(name, t, t) for name in F]
    outs += [f(t) for f in (adversarial.saturating, adversarial.non_saturating)]
    outs += [f(t) for f in (adversarial.saturating_slope, adversarial.non_saturating_slope)]
    outs += adversarial.play(adversarial.field(lambda x, y: anp.dot(x, y)), (t, t), 0.1, 3)
    assert all(out.dtype == np.float32 for out in outs)


def test_empty_samples_are_refused():
    for f in (adversarial.value, adversarial.jsd, lambda a, b: adversarial.f_gan_bound("kl", a, b)):
        with pytest.raises(ValueError, match="at least one"):
            f(np.zeros(0), np.zeros(3))


def test_an_integer_start_is_not_rounded():
    ints = adversarial.play(adversarial.field(bilinear), (1, 0), 0.1, 5, adversarial.simultaneous)
    np.testing.assert_array_equal(
        ints, adversarial.play(adversarial.field(bilinear), START, 0.1, 5, adversarial.simultaneous)
    )


def test_running_average_by_loops():
    path = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(adversarial.running_average(path), [path[: t + 1].mean(0) for t in range(5)])
    assert adversarial.running_average(path.astype(np.float32)).dtype == np.float32


# -------------------- a GAN in one dimension --------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("start", [(0.0, 1.0), (0.0, -1.0)])
def test_gan_recovers_shift_and_scale(seed, start):
    rng = np.random.default_rng(seed)
    x = 3 + 0.5 * rng.normal(size=2000)
    shift, scale = adversarial.fit_gan(x, np.array(start), rng).params
    assert abs(shift - 3) < 0.15 and abs(abs(scale) - 0.5) < 0.15
    assert np.sign(scale) == np.sign(start[1])  # a negative scale is as good: the law is the same


def test_gan_starts_from_separated_supports_and_ends_with_a_confused_discriminator():
    rng = np.random.default_rng(3)
    run = adversarial.fit_gan(3 + 0.5 * rng.normal(size=2000), np.array([-20.0, 0.5]), rng, steps=900, lr=0.1)
    assert run.params[0] == pytest.approx(3, abs=0.15)
    assert run.values[0] > -0.1 and run.values[-100:].mean() == pytest.approx(-np.log(4), abs=0.05)


def test_generator_gradient_by_hand():
    theta, eps = np.array([1.0, -2.0]), np.array([-0.5, 0.3, 1.0])
    rows = adversarial.generator_gradient(lambda x: 3 * x - x**2, theta, eps)
    x = 1 - 2 * eps
    slope = -(1 - 1 / (1 + np.exp(-(3 * x - x**2)))) * (3 - 2 * x)  # d/dx of -log s(t(x))
    np.testing.assert_allclose(rows, np.stack([slope, slope * eps], 1))


def test_generator_gradient_with_the_exact_ratio_points_home():
    """With t = log p/q the saturating loss has the gradient of 2 JSD: compare with finite differences of quadrature."""
    shift, h = 1.0, 1e-4
    rows = adversarial.generator_gradient(
        lambda x: (x - shift) ** 2 / 2 - x**2 / 2, np.array([shift, 1.0]), NODES, adversarial.saturating
    )
    jsds = [
        adversarial.jsd(r, r, w_p, w_q) for _, w_p, w_q, r in (grid((0, 1), (s, 1)) for s in (shift - h, shift + h))
    ]
    assert W @ rows[:, 0] == pytest.approx(2 * (jsds[1] - jsds[0]) / (2 * h), rel=1e-5)


def test_gan_float32_callback_and_interrupt():
    rng = np.random.default_rng(4)
    x = (3 + 0.5 * rng.normal(size=500)).astype(np.float32)
    steps = []
    run = adversarial.fit_gan(
        x, np.array([0, 1], np.float32), rng, callback=lambda t, theta, v: steps.append(t) or t == 5
    )
    assert run.params.dtype == np.float32 and steps == list(range(6)) and len(run.values) == 6

    def interrupt(t, theta, v):
        if t == 2:
            raise KeyboardInterrupt

    assert len(adversarial.fit_gan(x, np.array([0, 1], np.float32), rng, callback=interrupt).values) == 3


# -------------------- adversarial variational Bayes --------------------

SIGNS = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])  # point i owns one quadrant of the latent plane
X4 = np.eye(4)


def quadrants(a=60.0):
    """A decoder that reads the quadrant off z: logits a (+-h_1 +-h_2 - 1), h the sign of z made of two steep ReLUs."""
    steep = 1e6 * np.hstack([np.eye(2), np.eye(2)])  # relu(cz) - relu(cz - 1) is a step of height 1
    return [(steep, np.array([0, 0, -1.0, -1.0])), (2 * a * np.vstack([SIGNS.T, -SIGNS.T]), -a * SIGNS.sum(1) - a)]


def test_avb_reaches_minus_log_4_with_an_exact_posterior():
    rng = np.random.default_rng(0)
    x, z = np.repeat(X4, 500, 0), np.repeat(SIGNS, 500, 0) * np.abs(rng.normal(size=(2000, 2)))
    T = [(np.zeros((6, 1)), np.array([np.log(4)]))]  # q(z | x) = 4 p(z) on the quadrant
    elbo = adversarial.avb_elbo(quadrants(), T, x, z)
    np.testing.assert_allclose(elbo, -np.log(4), atol=1e-12)  # for every sample: variance 0
    assert -np.log(4) == pytest.approx(-1.3863, abs=5e-5)


def test_avb_elbo_with_the_exact_ratio_is_the_elbo():
    """A Gaussian q whose log ratio to the prior is linear: T = mz - m^2/2, E[T] = KL = m^2 / 2."""
    m, decoder = 0.8, [(np.ones((1, 1)), np.zeros(1))]
    T = [(np.array([[0.0], [m]]), np.array([-(m**2) / 2]))]
    z = NODES[:, None] + m
    elbo = W @ adversarial.avb_elbo(decoder, T, np.ones_like(z), z)
    rec = integrate.quad(lambda e: -np.log1p(np.exp(-(m + e))) * stats.norm.pdf(e), -12, 12)[0]
    assert elbo == pytest.approx(rec - m**2 / 2, abs=1e-8)


def test_avb_losses_by_hand_and_differentiable():
    rng = np.random.default_rng(1)
    model = [nets.init([4 + 2, 3, 2], rng), nets.init([2, 3, 4], rng)]
    critic = nets.init([4 + 2, 3, 1], rng)
    eps, z_prior = rng.normal(size=(2, 4, 2))

    def network(params, a):
        (W1, b1), (W2, b2) = params
        return np.maximum(a @ W1 + b1, 0) @ W2 + b2

    loss = np.zeros(2)
    for x, e, zp in zip(X4, eps, z_prior, strict=True):
        z = network(model[0], np.r_[x, e])
        D = 1 / (1 + np.exp(-network(model[1], z)))
        t, t_prior = network(critic, np.r_[x, z])[0], network(critic, np.r_[x, zp])[0]
        loss += [
            -(np.sum(np.log(np.where(x == 1, D, 1 - D))) - t),
            (np.log1p(np.exp(-t)) + np.log1p(np.exp(t_prior))) / 2,
        ]
    np.testing.assert_allclose(adversarial.avb_losses(model, critic, X4, eps, z_prior), loss / 4)
    for i in (0, 1):

        def loss_of_encoder(w, i=i):
            new = [nets.unflatten(w, model[0]), model[1]]
            return adversarial.avb_losses(new, critic, X4, eps, z_prior)[i]

        check_grads(loss_of_encoder, modes=["rev"], order=1)(nets.flatten(model[0]))


def mean_log_likelihood(decoder):
    """(1/4) sum_i log p(x_i), by quadrature over the latent plane: uses the decoder alone."""
    g = np.linspace(-6, 6, 301)
    z = np.stack(np.meshgrid(g, g), -1).reshape(-1, 2)
    prior = np.exp(-np.sum(z**2, 1) / 2)
    logits = nets.apply(decoder, z, nets.relu)
    return np.mean([np.log(prior @ np.exp(log_bernoulli(x, logits)) / prior.sum()) for x in X4])


def test_no_decoder_can_pass_minus_log_4_and_the_quadrants_reach_it():
    # the grid's axes fall on the borders between quadrants
    assert mean_log_likelihood(quadrants()) == pytest.approx(-np.log(4), abs=0.02)
    blind = [(np.zeros((2, 4)), np.full(4, np.log(1 / 3)))]  # ignores z: log (1/4)(3/4)^3
    assert mean_log_likelihood(blind) == pytest.approx(np.log(27 / 256))


@pytest.mark.slow
def test_avb_learns_the_four_points():
    run = adversarial.fit_avb(X4.astype(np.float32), np.random.default_rng(0), steps=900, copies=48)
    (_, decoder), critic = run.params
    assert -1.65 < mean_log_likelihood(decoder) <= -np.log(4)  # without the latent plane: log 27/256 = -2.249
    assert decoder[0][0].dtype == critic[0][0].dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_avb_comes_close_to_minus_log_4(seed):
    run = adversarial.fit_avb(X4.astype(np.float32), np.random.default_rng(seed), steps=4000)
    assert -1.48 < mean_log_likelihood(run.params[0][1]) <= -np.log(4)
    assert -run.values[-500:].mean() == pytest.approx(-np.log(4), abs=0.2)  # the estimate itself, through the critic


def test_avb_can_be_interrupted():
    def interrupt(t, players, value):
        if t == 2:
            raise KeyboardInterrupt

    run = adversarial.fit_avb(X4, np.random.default_rng(0), copies=1, callback=interrupt)
    assert len(run.values) == 3 and len(run.params) == 2


def test_whole_numbers_train_like_floats():
    x = np.random.default_rng(0).integers(-5, 6, 500)  # noise in x's type would be rounded
    runs = [adversarial.fit_gan(data, np.array([0.0, 1]), np.random.default_rng(1), steps=5) for data in (x, x * 1.0)]
    np.testing.assert_array_equal(runs[0].params, runs[1].params)
    runs = [adversarial.fit_avb(np.eye(4, dtype=t), np.random.default_rng(1), steps=2, copies=2) for t in (int, float)]
    np.testing.assert_array_equal(*(nets.flatten(run.params) for run in runs))
    assert all(np.isfinite(run.values).all() for run in runs)
