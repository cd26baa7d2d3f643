"""molecules: the sequence VAE of the lecture on all small molecules, searches in its latent space, and real molecules.

Teaching set: 1,885 strings, of which 188 are held out (`molecules.split`, seed 0); models are trained with seed 1 and
2,000 codes are drawn from the prior with seed 2.  Real set: 5,000 strings of MOSES, 500 held out in the same way.
Times are of training, in seconds of the processor.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd import grad

from enm5310 import chem, datasets, derivation, latent, latent_search, molecules, smiles, vae
from tests.benchmarks.harness import OURS, Contender, Line, Requirement, Timing, limits

WHAT = "a VAE of 1,885 molecules as strings: training, held-out reconstruction, validity, property, searches"

MODEL_OF_MOSES = {"k": 32, "epochs": 8, "size": 32, "lr": 4e-3, "beta": 0.5}


class Data(NamedTuple):
    strings: list
    y: np.ndarray  # (n, m)
    learn: np.ndarray  # indices
    test: np.ndarray

    def at(self, which):
        return [self.strings[i] for i in which]


def data():
    """The teaching set with its Wiener index and polar reach."""
    strings = list(smiles.teaching_set())
    y = np.array([[smiles.wiener_index(s), molecules.polar_reach(s)] for s in strings], float)
    return Data(strings, y, *molecules.split(len(strings), np.random.default_rng(0)))


# -------------------- three models --------------------


class Coder(NamedTuple):
    """A trained model and its two ways: strings -> Z (n, k), and (Z, rng=None) -> strings, drawn where rng is given."""

    model: object
    codes: Callable
    strings: Callable
    write: Callable = str  # a SMILES string in the model's own language

    def exact(self, strings):
        """The share of strings that come back from their codes unchanged."""
        return np.mean([a == b for a, b in zip(self.strings(self.codes(strings)), strings, strict=True)])


def ours(given, rng, **options):
    model = molecules.fit(given.at(given.learn), given.y[given.learn], rng, **options)
    return Coder(model, partial(molecules.codes, model), partial(molecules.decode, model))


def derived(given, rng):
    """The same model on the tokens of `derivation`, every sequence of which is a molecule: the idea of SELFIES."""
    words = [derivation.encode(s) for s in given.at(given.learn)]
    model = molecules.fit(words, given.y[given.learn], rng)
    return Coder(
        model, lambda strings: molecules.codes(model, [derivation.encode(s) for s in strings]),
        lambda Z, rng=None: [derivation.decode(word) for word in molecules.decode(model, Z, rng)], derivation.encode,
    )  # fmt: skip


def perceptron(given, rng, epochs=150):
    """All characters at once: a VAE of the flattened one-hot strings, as if they were pixels."""
    vocabulary, length = smiles.vocabulary(given.strings), 14
    flat = lambda strings: smiles.one_hot(strings, vocabulary, length).reshape(len(strings), -1)  # noqa: E731
    params = vae.init(length * len(vocabulary), [256], 16, rng, np.float32)
    params = vae.fit(params, flat(given.at(given.learn)), rng, epochs, lr=2e-3).params

    def strings(Z, rng=None):
        logits = vae.decode(params, Z.astype(np.float32)).reshape(len(Z), length, -1)
        logits = logits if rng is None else logits + rng.gumbel(size=logits.shape)
        return smiles.from_indices(np.argmax(logits, axis=2), vocabulary)

    return Coder(params, lambda strings: vae.encode(params, flat(strings))[0], strings)


CONTENDERS = [
    Contender(OURS, ours),
    Contender("the same, safe tokens", derived, limit=2.0),
    Contender("perceptron VAE", perceptron, limit=30.0),  # a sequence of 14 products for each of its one
]


# -------------------- the teaching set --------------------


def teaching(build, rng, given=None, n=2000):
    """Train on nine tenths; of the tenth held out and of n draws from the prior: a dictionary of numbers."""
    given = data() if given is None else given
    start = time.process_time()  # one run each: so that other programs do not count
    coder = build(given, rng)
    seconds = time.process_time() - start
    learn, test, model = given.at(given.learn), given.at(given.test), coder.model
    Z = coder.codes(test)
    eps = np.random.default_rng(2).standard_normal((n, Z.shape[1]))
    prior = coder.strings(eps)
    found = {
        "model": model, "strings": prior, "seconds": seconds,
        "exact": coder.exact(test), "exact in training": coder.exact(learn),
        "active": int(latent.active_units(coder.codes(learn)).sum()),
        "prior": molecules.validity_report(prior, learn),
        "drawn": molecules.validity_report(coder.strings(eps, np.random.default_rng(3)), learn),
        "outside": molecules.validity_report(prior, given.strings).novel,
    }  # fmt: skip
    if isinstance(model, molecules.Model):
        found |= judged(model, [coder.write(s) for s in test], given.y[given.test], Z)
    return found


def judged(model, strings, truth, Z):
    """Of strings held out, whose codes are Z: the ELBO's terms and the errors of their properties (n, m)."""
    y = ((truth - model.centre) / model.scale).astype(np.float32)
    X = smiles.one_hot(strings, model.vocabulary, model.length)
    noise = np.random.default_rng(4).standard_normal(Z.shape).astype(np.float32)
    now = molecules.elbo(model.params, X, y, noise)
    return {
        "mae": np.abs(molecules.property_of(model, Z) - truth).mean(axis=0),
        "baseline": np.abs(model.centre - truth).mean(axis=0),  # always the average of those learned
        "kl": float(now.kl.mean()), "rec": float(now.rec.mean()), "nats": float((now.kl - now.rec).mean()),
    }  # fmt: skip


# -------------------- searches --------------------


def slope(model, column=1):
    """The gradient of the predicted property."""
    return grad(lambda Z: anp.sum(molecules.predict(model.params, Z)[:, column]))


def searches(model, seeds=10, budget=200):
    """{search: best value, molecule, share of valid calls, by seed}; each call of the decoder counts."""
    f, k = partial(molecules.true_property, model), len(model.params["style"])
    kinds = {
        "random": latent_search.random_search,
        "evolution": latent_search.evolution_search,
        "gradient": lambda f, *a: latent_search.gradient_search(f, slope(model), *a),
        "gradient, no ball": lambda f, *a: latent_search.gradient_search(f, slope(model), *a, radius=None),
        "bayesian": latent_search.bayesian_search,
    }
    rows = {}
    for name, search in kinds.items():
        runs = [search(f, k, budget, np.random.default_rng(100 + seed)) for seed in range(seeds)]
        rows[name] = {
            "best": [run.best_so_far[-1] for run in runs], "valid": [np.mean(~np.isnan(run.values)) for run in runs],
            "molecules": [molecules.decode(model, run.Z[[np.nanargmax(run.values)]])[0] for run in runs],
        }  # fmt: skip
    return rows


def exploited(model, radius, column=1, truth=molecules.polar_reach, n=200):
    """At the ends of n ascents: the average prediction, the average truth of the valid molecules, and their share."""
    start = np.random.default_rng(5).standard_normal((n, len(model.params["style"])))
    Z = latent_search.ascend(slope(model, column), start, 100, 0.1, radius)[-1]
    true = molecules.true_property(model, Z, truth)
    predicted, valid = molecules.property_of(model, Z)[:, column], ~np.isnan(true)
    return predicted.mean(), true[valid].mean() if valid.any() else np.nan, valid.mean()


# -------------------- real molecules --------------------


def moses(rng, options=MODEL_OF_MOSES):
    """Train on 4,500 strings of MOSES with logP, QED and SAS; numbers of the 500 others and of 1,000 samples."""
    strings, y = datasets.load_molecules(return_X_y=True)
    strings = strings.tolist()
    given = Data(strings, y, *molecules.split(len(strings), np.random.default_rng(0)))
    vocabulary, length = smiles.vocabulary(strings), 1 + max(len(smiles.tokenize(s)) for s in strings)
    build = lambda given, rng: ours(given, rng, vocabulary=vocabulary, length=length, **options)  # noqa: E731
    found = teaching(build, rng, given, n=1000)
    test = given.at(given.test)
    X = smiles.one_hot(test, vocabulary, length)
    time_first = np.swapaxes(X, 0, 1)
    model = found["model"]
    guess = molecules.logits(model.params, molecules.codes(model, test), molecules.before(time_first))
    right = np.argmax(guess, axis=2) == np.argmax(time_first, axis=2)
    found["characters"] = float(np.mean(right[molecules.counted(time_first).sum(axis=2) > 0]))
    return found


# -------------------- the table --------------------


def measure(contenders):
    given = data()
    found = {c.name: teaching(c.build, np.random.default_rng(1), given) for c in contenders}
    timings = {name: Timing(f["seconds"], f["seconds"]) for name, f in found.items()}
    first = found[OURS]
    rows = searches(first["model"])
    random, bayes = (np.array(rows[name]["best"]) for name in ("random", "bayesian"))
    needs = (
        Requirement("held-out strings not rebuilt", 1 - first["exact"], 0.1),
        Requirement("invalid draws from the prior", 1 - first["prior"].valid, 0.1),
        Requirement("Wiener index: error / that of the mean", first["mae"][0] / first["baseline"][0], 0.25),
        Requirement("polar reach: error / that of the mean", first["mae"][1] / first["baseline"][1], 0.25),
        Requirement("best by random search / by Bayes", random.mean() / bayes.mean(), 1),
        Requirement("training, s of processor time", timings[OURS].median, 90),
    )
    notes = (*teaching_words(found), *search_words(first["model"], rows), *moses_words(moses(np.random.default_rng(1))))
    return Line("molecules", timings, limits(contenders, timings), requirements=needs, notes=notes)


def teaching_words(found):
    for name, f in found.items():
        yield (
            f"{name}, 188 held-out strings: {f['exact']:.1%} rebuilt exactly ({f['exact in training']:.1%} of those "
            f"learned); 2,000 draws of z: {report(f['prior'])}, outside the 1,885 {f['outside']:.1%}; characters drawn "
            f"too: {report(f['drawn'])}; active units {f['active']} of 16"
        )
    f = found[OURS]
    yield (
        f"log p(x | z) {f['rec']:.2f}, KL {f['kl']:.2f} nats, at beta 0.25; log 1,885 = 7.54; mean error of the Wiener "
        f"index {f['mae'][0]:.2f} (the mean: {f['baseline'][0]:.2f}), of polar reach {f['mae'][1]:.2f} "
        f"({f['baseline'][1]:.2f})"
    )
    walk = molecules.interpolate(f["model"], "CCCCCC", "NCCCCCN", 9)
    yield f"from hexane to cadaverine (pentane-1,5-diamine) in 9 steps: {', '.join(walk)}"


def report(r):
    return f"valid {r.valid:.1%}, of these different {r.unique:.1%}, novel {r.novel:.1%}"


def search_words(model, rows):
    for name, row in rows.items():
        best = np.array(row["best"])
        yield (
            f"{name}: best polar reach in 200 calls {best.mean():.1f} +- {best.std(ddof=1) / len(best) ** 0.5:.1f} "
            f"({len(best)} seeds), {np.mean(row['valid']):.0%} of the calls valid; such as "
            f"{row['molecules'][np.argmax(best)]} ({best.max():.0f}); in training 16 at most, of all 6,926 molecules 28"
        )
    properties = [("Wiener index", smiles.wiener_index), ("polar reach", molecules.polar_reach)]
    for radius, words in ((len(model.params["style"]) ** 0.5, "inside the ball of radius sqrt k"), (None, "no ball")):
        for column, (what, truth) in enumerate(properties):
            predicted, true, valid = exploited(model, radius, column, truth)
            yield (
                f"ends of 200 ascents of the predicted {what}, {words}: predicted {predicted:.1f}; {valid:.1%} are "
                f"molecules of at most 7 atoms{f', in truth {true:.1f}' if valid else ''}"
            )


def by_rdkit(strings):
    """What RDKit says of the greedy draws, where the extra `chem` is installed."""
    try:
        return f"RDKit calls {np.mean([chem.rdkit_valid(s) for s in strings]):.1%} of the greedy ones valid"
    except ImportError as why:
        return f"not judged by RDKit ({why})"


def moses_words(f):
    mae, baseline = (", ".join(f"{x:.3f}" for x in f[key]) for key in ("mae", "baseline"))
    yield (
        f"MOSES, 500 held-out strings, 24 tokens: {f['exact']:.1%} rebuilt exactly, {f['characters']:.1%} of the "
        f"characters right given the true ones before; 1,000 draws of z: {report(f['prior'])}; characters drawn too: "
        f"{report(f['drawn'])}; {by_rdkit(f['strings'])}; "
        f"mean error of logP, QED, SAS {mae} (the mean: {baseline}); rec {f['rec']:.1f}, KL "
        f"{f['kl']:.1f} nats; {f['seconds']:.0f} s of processor time"
    )
