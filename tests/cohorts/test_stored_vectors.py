"""Vectors of other programs: joined by their names, refused with a reason, a start like others."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pandas as pd
import pytest

from timnet import checkpoints, config
from timnet.__main__ import main
from timnet.cohorts import stored_vectors
from timnet.cohorts.records import CohortError
from timnet.cohorts.store import Cohort
from timnet.evaluation import probe
from timnet.training import features, in_process, run_results
from timnet.training.grids import Grid


@pytest.fixture(scope="module")
def cohort(cohort_folder, tmp_path_factory):
    """A copy of the synthetic cohort, to write beside."""
    folder = tmp_path_factory.mktemp("joined") / "synthetic"
    shutil.copytree(cohort_folder, folder)
    return Cohort.open(folder)


@pytest.fixture(scope="module")
def vectors_NC(cohort):
    """Return a vector a film; its first number says whether there is an opacity, mostly."""
    rng = np.random.default_rng(0)
    made = rng.normal(size=(len(cohort), 6)).astype(np.float32)
    made[:, 0] += 3 * (cohort.labels()["Opacity"].to_numpy() == 1)
    return made


def named(cohort, kind):
    table = cohort.films()
    return {
        "path": table["path"],
        "file name": [f"/elsewhere/{path}" for path in table["path"]],
        "file name without its ending": [path.split("/")[-1].removesuffix(".png") for path in table["path"]],
        "sha256": [hashlib.sha256(cohort.original(film)).hexdigest().upper() for film in table["film"]],
        "study": table["study"],
    }[kind]


def written(path, names, vectors, columns=("image", "vector")):
    names = list(map(str, names))
    if path.suffix == ".npz":
        np.savez(path, **dict(zip(columns, (names, vectors), strict=True)))
    else:
        pd.DataFrame(dict(zip(columns, (names, list(vectors)), strict=True))).to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["path", "file name", "file name without its ending", "sha256", "study"])
@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_vectors_join_by_whatever_names_they_have_in_any_order(kind, suffix, cohort, vectors_NC, tmp_path):
    order = np.random.default_rng(1).permutation(len(cohort))
    names = np.array(named(cohort, kind))[order]
    path = written(tmp_path / f"v{suffix}", names, vectors_NC[order], ("names", "embeddings"))
    joined = stored_vectors.join(cohort, path)
    assert joined.by == kind
    assert joined.left_over.empty
    np.testing.assert_array_equal(joined.vectors_NC, vectors_NC)


def test_what_does_not_join_is_told_by_name(cohort, vectors_NC, tmp_path):
    paths = cohort.films()["path"].tolist()
    path = written(tmp_path / "v.npz", [*paths[3:], "films/other.png"], vectors_NC[: len(paths) - 2])
    joined = stored_vectors.join(cohort, path)
    expected = {("films/other.png", "no such X-ray"), *((each, "no vector") for each in paths[:3])}
    assert set(joined.left_over.itertuples(index=False, name=None)) == expected
    assert stored_vectors.known(joined.vectors_NC).tolist() == [False] * 3 + [True] * (len(paths) - 3)


def ragged(names, vectors):
    return names, [vectors[0][:3], *vectors[1:]]


def not_finite(names, vectors):
    vectors[2, 1] = np.nan
    return names, vectors


def too_large(names, vectors):
    vectors[2, 1] = 1e6
    return names, vectors


def zeros(names, vectors):
    vectors[2] = 0
    return names, vectors


def twice(names, vectors):
    return [names[1], *names[1:]], vectors


def two_of_one_film(names, vectors):
    return [f"elsewhere/{names[1].split('/')[-1]}", *names[1:]], vectors


def strangers(names, vectors):
    return [f"{name}x" for name in names], vectors


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (ragged, "expected names, and vectors that are all of one length"),
        (not_finite, "expected finite numbers up to 65504, got another for 'films/002.png'"),
        (too_large, "expected finite numbers up to 65504, got another for 'films/002.png'"),
        (zeros, "expected vectors beside 0, got another for 'films/002.png'"),
        (twice, "expected every name once, 'films/001.png' stands there 2 times"),
        (two_of_one_film, "expected one vector an X-ray, films/001.png has 2"),
        (strangers, "none of 120 is one, the first is 'films/000.pngx'"),
    ],
)
def test_vectors_that_cannot_be_meant_are_refused(suffix, spoil, sentence, cohort, vectors_NC, tmp_path):
    names, vectors = spoil(cohort.films()["path"].tolist(), vectors_NC.copy())
    if isinstance(vectors, list) and suffix == ".npz":
        vectors = np.array(vectors, dtype=object)
    if spoil is two_of_one_film:
        names = [name.split("/", 1)[-1] if "elsewhere" not in name else name for name in names]
    with pytest.raises(CohortError, match=sentence):
        stored_vectors.join(cohort, written(tmp_path / f"v{suffix}", names, vectors))


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"no such thing"])
@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_file_of_another_kind_is_refused(content, suffix, cohort, tmp_path):
    (tmp_path / f"v{suffix}").write_bytes(content)
    with pytest.raises(CohortError, match=f"v{suffix}: expected names, and vectors"):
        stored_vectors.join(cohort, tmp_path / f"v{suffix}")


def test_a_curve_measures_a_probe_of_the_vectors_and_says_so(cohort, vectors_NC, tmp_path, monkeypatch):
    """The probe is scikit-learn's on the vectors that joined, on the test films that have one."""
    monkeypatch.setenv("TIMNET_CHECKPOINTS", str(tmp_path / "runs"))
    paths = cohort.films()["path"].to_numpy()
    has_N = np.ones(len(paths), bool)
    test_N = (cohort.films()["split"] == "test").to_numpy()
    has_N[np.flatnonzero(test_N)[:2]] = False
    file = written(tmp_path / "other.parquet", paths[has_N], vectors_NC[has_N])
    shared = config.Finetune(cohort=str(cohort.folder), task="Opacity", side=32, looks=0)
    table = in_process.measure(Grid(shared, (str(file),), (1.0,), 1))
    assert set(table["initialisation"]) == {"other.parquet (linear probe)"}

    y_N = cohort.labels()["Opacity"].to_numpy(float)
    train_N = (cohort.films()["split"] == "train").to_numpy()
    line = probe.fit(vectors_NC[train_N], y_N[train_N, None])
    said = line.logits(vectors_NC[test_N & has_N])[:, 0]
    from sklearn.metrics import roc_auc_score

    expected = roc_auc_score(y_N[test_N & has_N], said)
    (found,) = table.loc[table["metric"] == "auROC", "value"]
    # Kept in half precision.
    assert found == pytest.approx(expected, abs=0.02)
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/metrics.json"))
    told = run_results.result(folder)
    assert (told["films_test"], told["films_test_without_vector"]) == (test_N.sum() - 2, 2)
    assert not checkpoints.is_checkpoint(folder)
    (listed,) = cohort.folder.glob(f"features/*/{features.LEFT_OVER}")
    assert set(pd.read_csv(listed)["name"]) == set(paths[~has_N])
    probed = config.Finetune(cohort="c", task="t", initialisation=str(file), mode="probe")
    assert run_results._start(probed) == "other.parquet"


def test_too_few_vectors_to_test_on_are_refused(cohort, vectors_NC, tmp_path):
    train_N = (cohort.films()["split"] == "train").to_numpy()
    file = written(tmp_path / "v.npz", cohort.films()["path"][train_N], vectors_NC[train_N])
    settings = config.Finetune(
        cohort=str(cohort.folder), task="Opacity", initialisation=str(file), mode="probe"
    )
    with pytest.raises(
        ValueError, match=r"v\.npz: expected vectors of 2 or more of the labelled test X-rays, got 0"
    ):
        in_process.finetune(settings, tmp_path / "run")


def test_features_are_written_read_back_and_searched(cohort, vectors_NC, tmp_path, capsys):
    source = written(tmp_path / "v.npz", cohort.films()["path"][:-1], vectors_NC[:-1])
    for suffix in (".parquet", ".npz"):
        out = tmp_path / f"out{suffix}"
        words = ["features", str(cohort.folder), "--initialisation", str(source), "--out", str(out)]
        assert main([*words, "--like", "study000"]) == 0
        names, read_MC = stored_vectors.read(out)
        assert names == cohort.films()["path"].tolist()[:-1]
        np.testing.assert_array_equal(read_MC, vectors_NC[:-1].astype(np.float16).astype(np.float32))
    lines = capsys.readouterr().out.splitlines()[-10:]
    lengths = np.linalg.norm(vectors_NC[:-1], axis=1)
    cosines = vectors_NC[1:-1] @ vectors_NC[0] / lengths[1:] / lengths[0]
    best = np.argsort(-cosines)[:10] + 1
    assert [line.split()[0] for line in lines] == cohort.films()["path"][best].tolist()
    assert main([*words[:4], "--like", "study119"]) == 2
    assert "expected a study whose X-ray has a vector" in capsys.readouterr().err
    assert main([*words[:4], "--like", "nobody"]) == 2
    assert "expected a study of synthetic with an X-ray, got 'nobody'" in capsys.readouterr().err
    assert main([*words[:4], "--out", str(tmp_path / "x.csv")]) == 2
    assert "expected a file that ends in .npz or .parquet" in capsys.readouterr().err


def test_a_preview_leaves_out_films_without_a_vector(cohort, vectors_NC):
    some_NC = vectors_NC.copy()
    some_NC[::3] = 0
    seen = probe.preview(cohort, some_NC, "Opacity", 1.0, 0)
    assert not set(seen.rows) & set(range(0, len(cohort), 3))
    train_N = (cohort.films()["split"] == "train").to_numpy()
    assert seen.films == sum(train_N) - sum(train_N[::3])
