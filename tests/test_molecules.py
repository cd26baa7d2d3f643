"""molecules: the ELBO against loops over characters, decoding against teacher forcing, and what small models learn."""

import itertools

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, value_and_grad
from autograd.test_util import check_grads
from numpy.testing import assert_allclose, assert_array_equal

from enm5310 import derivation, latent, molecules, nets, smiles, vae
from tests.benchmarks import molecules as study

STRINGS = ["CCO", "C", "CC(N)C", "NO"]
VOCABULARY = smiles.vocabulary(STRINGS)
T, K, M = 8, 3, 2


def example(seed=0, dtype=np.float64):
    """Parameters away from their start, one-hot strings, properties and noise."""
    rng = np.random.default_rng(seed)
    params = molecules.init(len(VOCABULARY), T, K, rng, hidden=4, read=5, targets=M, dtype=dtype)
    params = nets.tree_map(lambda a: (a + 0.3 * rng.standard_normal(a.shape)).astype(dtype), params)
    X = smiles.one_hot(STRINGS, VOCABULARY, T).astype(dtype)
    return params, X, rng.normal(size=(4, M)).astype(dtype), rng.normal(size=(4, K)).astype(dtype)


def s(a):
    return 1 / (1 + np.exp(-a))


def characters(params, z, string):
    """log p(character | z, the true ones before it) of a string and its end, one by one."""
    h = np.tanh(z @ params["start"][0][0] + params["start"][0][1])
    U, b = params["state"]
    for i, token in enumerate([*smiles.tokenize(string), smiles.PAD]):
        a = z @ params["style"] + params["previous"][1]
        if i > 0:
            a = a + params["previous"][0][VOCABULARY.index(smiles.tokenize(string)[i - 1])]
        (ar, au, ac), (pr, pu, pc) = np.split(a, 3), np.split(h @ U, 3)
        c = np.tanh(ac + s(ar + pr) * (pc + b))
        h = s(au + pu) * h + (1 - s(au + pu)) * c
        p = np.exp(h @ params["character"][0][0] + params["character"][0][1])
        yield np.log(p[VOCABULARY.index(token)] / p.sum())


# -------------------- the model against its formulas --------------------


def test_elbo_equals_loops_over_molecules_and_characters():
    params, X, y, eps = example()
    now = molecules.elbo(params, X, y, eps, beta=0.7, noise=0.4)
    for i, string in enumerate(STRINGS):
        (W, b), (W2, b2) = params["encoder"]
        heads = np.tanh(X[i].ravel() @ W + b) @ W2 + b2
        z = heads[:K] + np.exp(heads[K:] / 2) * eps[i]
        (W, b), (W2, b2) = params["property"]
        f = np.tanh(z @ W + b) @ W2 + b2
        rec = sum(characters(params, z, string))
        prop = sum(-((y[i] - f) ** 2) / (2 * 0.4**2) - 0.5 * np.log(2 * np.pi * 0.4**2))
        kl = 0.5 * np.sum(heads[:K] ** 2 + np.exp(heads[K:]) - 1 - heads[K:])
        assert_allclose([now.rec[i], now.prop[i], now.kl[i]], [rec, prop, kl], rtol=1e-11)
        assert_allclose(now.elbo[i], rec + prop - 0.7 * kl, rtol=1e-11)


def test_the_gradient_of_every_parameter_equals_finite_differences():
    params, X, y, eps = example(1)
    assert set(params) == set(grad(lambda p: anp.sum(molecules.elbo(p, X, y, eps).elbo))(params))
    check_grads(lambda p: molecules.elbo(p, X, y, eps).elbo, modes=["rev"], order=1)(params)


def test_padding_counts_once_as_the_end():
    X = np.swapaxes(smiles.one_hot(["CC", "CCCC"], VOCABULARY, 5), 0, 1)
    assert_array_equal(molecules.counted(X).sum(axis=2).T, [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    params, X, y, eps = example()
    now, longer = molecules.elbo(params, X, y, eps), np.concatenate([X, X[:, -1:], X[:, -1:]], axis=1)
    (W, b), last = params["encoder"]
    wide = {**params, "encoder": [(np.concatenate([W, 0 * W[: 2 * len(VOCABULARY)]]), b), last]}
    for a, b in zip(now, molecules.elbo(wide, longer, y, eps), strict=True):
        assert_allclose(a, b, rtol=1e-12)


def test_averages_over_characters_and_latents_mean_another_beta():
    """Defect 6: mean cross-entropy and mean KL are, up to a factor, the ELBO of beta = T / k."""
    params, X, _, eps = example()
    X = X[[2, 2]]  # "CC(N)C" and its end fill 7 of 8 places
    X, eps = X[:, :7], eps[:2]
    params["encoder"][0] = params["encoder"][0][0][: 7 * len(VOCABULARY)], params["encoder"][0][1]

    def averaged(p):
        mean, logvar = molecules.encode(p, X)
        Xt = np.swapaxes(X, 0, 1)
        l = molecules.logits(p, mean + anp.exp(logvar / 2) * eps, molecules.before(Xt))
        log_p = anp.log(anp.sum(Xt * anp.exp(l), axis=2) / anp.sum(anp.exp(l), axis=2))
        return -anp.mean(log_p) + anp.mean(0.5 * (mean**2 + anp.exp(logvar) - 1 - logvar))

    beta = vae.implied_beta("mean", "mean", D=7, K=K)
    assert beta == 7 / K
    ours = lambda p: anp.mean((now := molecules.elbo(p, X, np.zeros((2, M)), eps, beta)).elbo - now.prop) / -7  # noqa: E731
    for a, b in zip(nets.leaves(grad(averaged)(params)), nets.leaves(grad(ours)(params)), strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-13)


def test_hidden_characters_leave_z_alone_to_speak():
    params, X, y, eps = example()
    kept, hidden = (molecules.elbo(params, X, y, eps, keep=keep).rec for keep in (1.0, np.zeros((T, 4, 1))))
    assert np.all(np.abs(kept - hidden) > 1e-3)
    blind = {**params, "previous": [0 * params["previous"][0], params["previous"][1]]}
    assert_allclose(hidden, molecules.elbo(blind, X, y, eps).rec, rtol=1e-12)


def test_float32_stays_float32():
    params, X, y, eps = example(dtype=np.float32)
    values, slopes = value_and_grad(lambda p: anp.sum(molecules.elbo(p, X, y, eps).elbo))(params)
    assert {a.dtype for a in [values, *nets.leaves(slopes), *molecules.elbo(params, X, y, eps)]} == {np.dtype("f4")}


# -------------------- decoding --------------------


def model(params):
    return molecules.Model(params, VOCABULARY, T, np.array([10.0, -1]), np.array([2.0, 5]), np.zeros(0))


def test_greedy_strings_are_the_likeliest_characters_given_themselves():
    params, *_ = example()
    Z = 3 * np.random.default_rng(0).normal(size=(50, K))
    strings = molecules.decode(model(params), Z)
    assert len(set(strings)) > 5
    index = [[VOCABULARY.index(c) for c in string.ljust(T)] for string in strings]
    X = np.swapaxes(np.eye(len(VOCABULARY))[index], 0, 1)
    likeliest = np.argmax(molecules.logits(params, Z, molecules.before(X)), axis=2)
    counted = molecules.counted(X).sum(axis=2) > 0
    assert_array_equal(likeliest[counted], np.transpose(index)[counted])


def test_drawn_strings_have_their_probabilities():
    params, *_ = example(3)
    params["character"] = [(4 * params["character"][0][0], params["character"][0][1])]  # decided, not uniform
    z, n = np.random.default_rng(1).normal(size=K), 10_000
    drawn = molecules.decode(model(params), np.tile(z, (n, 1)), np.random.default_rng(2))
    letters = VOCABULARY[1:]
    for string in [a + b for a, b in itertools.product(letters, ["", *letters])]:
        p = np.exp(sum(list(characters(params, z, string))[: len(string) + 1]))  # the string and its end
        assert abs(np.mean([d == string for d in drawn]) - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-9, string


def test_properties_come_in_their_own_unit():
    params, *_ = example()
    Z = np.random.default_rng(0).normal(size=(5, K))
    f = molecules.predict(params, Z)
    assert_allclose(molecules.property_of(model(params), Z), np.stack([10 + 2 * f[:, 0], 5 * f[:, 1] - 1], axis=1))


def test_reconstruction_and_interpolation_go_through_the_means():
    m = model(example()[0])
    Z = molecules.codes(m, STRINGS)
    assert_array_equal(Z, molecules.encode(m.params, smiles.one_hot(STRINGS, VOCABULARY, T))[0])
    assert molecules.reconstruct(m, STRINGS) == molecules.decode(m, Z)
    walk = molecules.interpolate(m, STRINGS[0], STRINGS[2], 5)
    assert [walk[0], walk[-1]] == molecules.reconstruct(m, [STRINGS[0], STRINGS[2]]) and len(walk) == 5
    assert walk[2] == molecules.decode(m, latent.slerp(Z[0], Z[2], [0.5]))[0]


def test_what_cannot_be_read_is_named():
    m = model(example()[0])
    with pytest.raises(ValueError, match="'Cl', is not in the vocabulary"):
        molecules.codes(m, ["CO", "CCl"])
    with pytest.raises(ValueError, match="9 tokens do not fit in length 8"):
        molecules.codes(m, ["C" * 9])
    with pytest.raises(ValueError, match="empty"):
        molecules.codes(m, [])
    with pytest.raises(ValueError, match=r"shape \(3,\); want \(n, 3\)"):
        molecules.decode(m, np.zeros(3))
    rng = np.random.default_rng(0)
    for strings, y in [([], []), (["C"], [np.nan]), (["C", "CC"], np.zeros((2, 0))), (["C", "CC"], [1.0])]:
        with pytest.raises(ValueError, match="rows of finite numbers"):
            molecules.fit(strings, y, rng)
    with pytest.raises(ValueError, match="position 1"):
        molecules.fit(["C", "C!"], [1, 2], rng)


# -------------------- reports --------------------


def test_validity_counts_molecules_and_not_strings():
    strings = ["CCO", "OCC", "C(", "O(C)(C)C", "CN", "CN", ""]
    report = molecules.validity_report(strings, training=["NC"])
    assert_allclose(report, [4 / 7, 2 / 4, 2 / 4, 7])  # ethanol twice, known methylamine twice
    assert molecules.validity_report(["("], ["C"]) == (0, 0, 0, 1)
    table = molecules.validity_report(smiles.teaching_set()[:50], smiles.teaching_set())
    assert table == (1, 1, 0, 50)
    assert molecules.validity_report(["C"], [], is_valid=lambda s: False).valid == 0
    unread = molecules.validity_report(["[Fe]", "[Fe]", "C"], ["C"], is_valid=lambda s: True)  # metals, not in ours
    assert_allclose(unread, [1, 2 / 3, 2 / 3, 3])
    with pytest.raises(ValueError, match="no strings"):
        molecules.validity_report([], ["C"])


def test_split_covers_all_once():
    learn, test = molecules.split(1885, np.random.default_rng(0))
    assert len(test) == 188 and sorted([*learn, *test]) == list(range(1885))
    assert not np.array_equal(np.sort(test), test)


@pytest.mark.parametrize(
    ("string", "wanted"),
    [("CCCCCCC", 0), ("O", 0), ("OCCCCCN", 6), ("OO", 1 - 8), ("OCOCO", 2 + 2 + 4), ("OC(N)O", 6), ("NNN", 4 - 16)],
)
def test_polar_reach_by_hand(string, wanted):
    assert molecules.polar_reach(string) == wanted


def test_the_best_polar_reach_and_how_rare_it_is():
    reach = np.array([molecules.polar_reach(string) for string in smiles.teaching_set()])
    assert reach.max() == 16 and (reach == 16).sum() == 18
    symmetric = molecules.polar_reach("OC(O)OC(O)O")  # by hand: 2 + 2 next to each other, 4 x 4 across, 4 x 2 to the O
    assert symmetric == 2 + 2 + 4 * 4 + 4 * 2 == 28


def test_the_true_property_is_that_of_the_decoded_molecule_or_nothing(monkeypatch):
    decoded = {0: "OCO", 1: "O(C)(C)C", 2: "OCCCCCCO", 3: "", 4: "CCCC"}
    monkeypatch.setattr(molecules, "decode", lambda model, Z: [decoded[int(z[0])] for z in Z])
    Z = np.arange(5)[:, None]
    assert_array_equal(molecules.true_property(None, Z), [2, np.nan, np.nan, np.nan, 0])
    assert_array_equal(molecules.true_property(None, Z, smiles.wiener_index, most=8), [4, np.nan, 84, np.nan, 10])


# -------------------- small models learn --------------------


@pytest.fixture(scope="module")
def small():
    """All molecules of up to 4 atoms, their Wiener index, a model of both, and how it was trained."""
    strings = smiles.enumerate_molecules(4)
    wiener = np.array([smiles.wiener_index(string) for string in strings])
    options = {"k": 6, "epochs": 70, "size": 16, "lr": 8e-3, "hidden": 40, "read": 64}
    return strings, wiener, molecules.fit(strings, wiener, np.random.default_rng(0), **options), options


def test_a_small_model_reconstructs_samples_and_predicts(small):
    strings, wiener, m, _ = small
    assert len(strings) == 92
    assert np.mean([a == b for a, b in zip(molecules.reconstruct(m, strings), strings, strict=True)]) > 0.9
    error = np.abs(molecules.property_of(m, molecules.codes(m, strings))[:, 0] - wiener)
    assert error.mean() < 0.2 * np.abs(wiener - wiener.mean()).mean()
    report = molecules.validity_report(molecules.sample_prior(m, 300, np.random.default_rng(1)), strings)
    assert report.valid > 0.85 and report.unique > 0.15
    drawn = molecules.sample_prior(m, 300, np.random.default_rng(1), greedy=False)
    assert drawn != molecules.sample_prior(m, 300, np.random.default_rng(1))
    assert molecules.validity_report(drawn, strings).valid > 0.75
    assert m.values[-20:].mean() > m.values[:20].mean() + 5


def test_the_same_generator_gives_the_same_model_and_a_callback_stops_it(small):
    strings, wiener, _, options = small
    a, b = (
        molecules.fit(strings, wiener, np.random.default_rng(3), **options, callback=lambda t, params, elbo: t == 4)
        for _ in range(2)
    )
    assert len(a.values) == 5
    for x, y in zip(nets.leaves(a.params), nets.leaves(b.params), strict=True):
        assert_array_equal(x, y)


def test_words_that_cannot_be_wrong_need_no_other_model(small):
    """The same model on the tokens of `derivation`, where every string is a molecule."""
    strings, wiener, *_ = small
    words = [derivation.encode(string) for string in strings]
    m = molecules.fit(words, wiener, np.random.default_rng(0), k=4, epochs=2, hidden=16)
    decoded = [derivation.decode(w) for w in molecules.sample_prior(m, 100, np.random.default_rng(1), greedy=False)]
    assert molecules.validity_report(decoded, strings).valid == 1


# -------------------- the lecture's model --------------------


@pytest.fixture(scope="module")
def lecture():
    """The model as `fit` trains it by default, on nine tenths of the teaching set, and its numbers."""
    return study.teaching(study.ours, np.random.default_rng(1))


@pytest.mark.slow
def test_the_lectures_model_on_molecules_held_out(lecture):
    assert lecture["exact"] > 0.95 and lecture["prior"].valid > 0.93 and lecture["drawn"].valid > 0.9
    assert lecture["prior"].novel > 0.1  # no lookup
    assert np.all(lecture["mae"] < [0.12, 0.25] * lecture["baseline"])
    assert lecture["active"] >= 12 and lecture["kl"] > 9


@pytest.mark.slow
def test_at_beta_one_the_strong_decoder_leaves_z_unused_and_is_the_better_density(lecture):
    one = study.teaching(lambda given, rng: study.ours(given, rng, beta=1.0, epochs=60), np.random.default_rng(1))
    assert one["kl"] < 5 and one["exact"] < 0.3
    assert one["nats"] < lecture["nats"] - 2  # rec and KL together; log 1,885 = 7.5 is the entropy of the set
    assert one["nats"] > 7


@pytest.mark.slow
def test_searches_beat_random_search_and_predictions_are_exploited(lecture):
    rows = study.searches(lecture["model"], seeds=5, budget=200)
    random = np.array(rows["random"]["best"])
    for name in ("evolution", "gradient", "gradient, no ball", "bayesian"):
        best = np.array(rows[name]["best"])
        assert best.mean() - random.mean() > 1.5, name
        assert best.max() <= 28  # the best of all molecules of at most 7 atoms
    for radius, share in ((4.0, 0.5), (None, 0.0)):
        predicted, true, valid = study.exploited(lecture["model"], radius)
        assert predicted > true + 3
        assert valid > share and (radius or valid < 0.5)
