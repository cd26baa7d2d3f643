"""The README's moving picture: it shows what the model does; the file is small, looped, in step with its source."""

import io

import numpy as np
import pytest
from PIL import Image

from enm5310 import latent, nets, vae
from tests import readme_picture as picture


@pytest.fixture(scope="module")
def seen():
    """Three looks at a training on 60 made-up images of 4 x 4 pixels, and the images that were looked at."""
    rng = np.random.default_rng(0)
    X = (rng.uniform(size=(90, 16)) < np.repeat(rng.uniform(size=(3, 16)), 30, axis=0)).astype(np.float32)
    return picture.snapshots(X[::3], X[1::3], steps=[0, 3, 40], hidden=[8], size=10), X[1::3]


def test_the_looks_are_at_the_steps_asked_for_and_the_bound_grows(seen):
    looks, X = seen
    assert [step for step, *_ in looks] == [0, 3, 40]
    assert looks[0][1] < looks[2][1] < 0
    for _, _, codes, drawn in looks:
        assert codes.shape == (len(X), 2) and drawn.shape == (picture.SIDE, picture.SIDE, 16)
        assert np.min(drawn) >= 0 and np.max(drawn) <= 1


def test_each_place_of_the_grid_shows_what_the_decoder_draws_there():
    """Against a loop over the grid, on an untrained model: the first look."""
    rng = np.random.default_rng(1)
    X = rng.uniform(size=(10, 16)).astype(np.float32)
    step, told, codes, drawn = picture.snapshots(X, X, steps=[0], hidden=[8], size=10, seed=4)[0]
    again = np.random.default_rng(4)
    eps = again.standard_normal((10, 2), np.float32)
    params = vae.init(16, [8], 2, again, np.float32)
    q = latent.normal_quantile((np.arange(picture.SIDE) + 0.5) / picture.SIDE)
    for i, j in [(0, 0), (0, 12), (12, 0), (5, 7)]:  # z_1 grows to the right, z_2 upwards
        z = np.array([[q[j], q[picture.SIDE - 1 - i]]], np.float32)
        np.testing.assert_allclose(drawn[i, j], vae.decode_mean(params, z, activation=nets.relu)[0], atol=1e-6)
    np.testing.assert_allclose(codes, vae.encode(params, X, activation=nets.relu)[0], rtol=1e-6)
    assert told == pytest.approx(np.mean(vae.elbo(params, X, eps, activation=nets.relu).elbo), rel=1e-5) and step == 0


def test_frames_make_a_looped_picture_of_bounded_size(seen, monkeypatch):
    looks, X = seen
    labels = np.arange(len(X)) % 10
    frames = [picture.frame(*look, labels) for look in (looks[0], looks[2])]
    assert frames[0].size == (1400, 760)

    def nearest(shown):
        off = [np.subtract(shown.convert("RGB"), f.resize(shown.size), dtype=float) for f in frames]
        return np.argmin(np.mean(np.square(off), axis=(1, 2, 3)))

    with Image.open(io.BytesIO(picture.gif(frames))) as made:
        assert made.n_frames == 2 and made.info["loop"] == 0 and made.width == 800
        assert made.info["duration"] == 1000 * picture.SECONDS[-1]
        assert nearest(made) == 1  # the loop begins at its end
        made.seek(1)
        assert made.info["duration"] == 1000 * picture.SECONDS[0] and nearest(made) == 0
    monkeypatch.setattr(picture, "LIMIT", 1000)
    with pytest.raises(ValueError, match="2 frames do not fit into 1000 bytes"):
        picture.gif(frames)


def test_the_committed_picture_is_in_step_with_its_source():
    assert picture.TARGET.stat().st_size <= picture.LIMIT
    with Image.open(picture.TARGET) as there:
        assert there.n_frames == len(picture.STEPS) and there.info["loop"] == 0 and there.width == 800
