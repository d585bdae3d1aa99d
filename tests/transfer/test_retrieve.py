"""Figures of retrieval: known answers, intervals over photos, rows."""

import pyarrow.compute as pc
import pytest
import torch

from awase.errors import DataError
from awase.functional.similarity import normalize
from awase.functional.top_k import top_k
from awase.training.sampler import seeded
from awase.transfer._retrieve import Retrieval, _median, retrieve, worst
from awase.transfer._retrieve_rows import caption_rows, image_rows
from awase.types import BadRow, PairFeatures


def _pairs(n: int = 40, each: int = 3, noise: float = 1.0) -> PairFeatures:
    generator = torch.Generator().manual_seed(1)
    images = normalize(torch.randn(n, 16, generator=generator))
    owners = torch.arange(n).repeat_interleave(each)
    texts = normalize(images[owners] + noise * normalize(torch.randn(n * each, 16, generator=generator)))
    names = tuple(f"{i}.jpg" for i in range(n))
    return PairFeatures(images, texts, owners, names, tuple(f"caption {j}" for j in range(n * each)))


def _values(found: Retrieval) -> dict[str, float]:
    return {estimate.name: estimate.value for estimate in found.estimates}


def test_each_finding_itself_is_the_best_there_is() -> None:
    values = _values(retrieve(_pairs(noise=0.0), n_replicates=50))
    best = {"rsum": 600.0}
    for side in ("image_to_text", "text_to_image"):
        best |= {f"recall_at_{k}.{side}": 1.0 for k in (1, 5, 10)}
        best |= {f"map_at_r.{side}": 1.0, f"median_rank.{side}": 1.0}
    best |= {"tied.image_to_text": 0.0, "tied.text_to_image": 0.0}
    assert values == pytest.approx(best)


def test_figures_are_those_of_a_naive_reading() -> None:
    pairs = _pairs(noise=2.0)
    found = retrieve(pairs, ks=(1, 4), n_replicates=0)
    similarity = pairs.image_features.double() @ pairs.text_features.double().T
    n, m = similarity.shape
    hits: dict[str, list[float]] = {"i1": [], "i4": [], "t1": [], "t4": [], "map": []}
    for i in range(n):
        order = sorted(range(m), key=lambda j: -float(similarity[i, j]))
        right = [int(pairs.image_of_text[j]) == i for j in order]
        hits["i1"].append(right[0])
        hits["i4"].append(any(right[:4]))
        hits["map"].append(sum(right[r] * sum(right[: r + 1]) / (r + 1) for r in range(3)) / 3)
    for j in range(m):
        order = sorted(range(n), key=lambda i: -float(similarity[i, j]))
        place = order.index(int(pairs.image_of_text[j]))
        hits["t1"].append(place < 1)
        hits["t4"].append(place < 4)
    mean = {name: sum(map(float, values)) / len(values) for name, values in hits.items()}
    values = _values(found)
    assert values["recall_at_1.image_to_text"] == pytest.approx(mean["i1"])
    assert values["recall_at_4.image_to_text"] == pytest.approx(mean["i4"])
    assert values["map_at_r.image_to_text"] == pytest.approx(mean["map"])
    assert values["recall_at_1.text_to_image"] == values["map_at_r.text_to_image"]
    assert values["recall_at_1.text_to_image"] == pytest.approx(mean["t1"])
    assert values["recall_at_4.text_to_image"] == pytest.approx(mean["t4"])
    assert values["rsum"] == pytest.approx(100 * (mean["i1"] + mean["i4"] + mean["t1"] + mean["t4"]))
    assert 0 < mean["t1"] < 1


def _rows(photos: list[int]) -> list[int]:
    return [row for photo in photos for row in range(3 * photo, 3 * photo + 3)]


def test_intervals_draw_photos_with_all_their_captions() -> None:
    pairs = _pairs(noise=2.0)
    found = retrieve(pairs, ks=(1,), n_replicates=300, seed=3)
    hit = (found.found.text_to_image.ranks < 1).double()
    generator = seeded(3, 0)
    sets = [torch.randint(40, (40,), generator=generator).tolist() for _ in range(300)]
    drawn = [float(hit[_rows(photos)].mean()) for photos in sets]
    low, high = (float(torch.tensor(drawn).quantile(share)) for share in (0.025, 0.975))
    [estimate] = [e for e in found.estimates if e.name == "recall_at_1.text_to_image"]
    # one call draws all rows at once, so only the distribution is the same
    assert estimate.low == pytest.approx(low, abs=0.03)
    assert estimate.high == pytest.approx(high, abs=0.03)
    middle = [float((found.found.text_to_image.ranks[_rows(photos)] + 1.0).quantile(0.5)) for photos in sets]
    [median] = [e for e in found.estimates if e.name == "median_rank.text_to_image"]
    low, high = (float(torch.tensor(middle).quantile(share)) for share in (0.025, 0.975))
    assert median.low == pytest.approx(low, abs=0.51)
    assert median.high == pytest.approx(high, abs=0.51)
    again = retrieve(pairs, ks=(1,), n_replicates=300, seed=3)
    assert again.estimates == found.estimates
    alone = 1.96 * float((hit.mean() * (1 - hit.mean()) / len(hit)) ** 0.5)
    assert estimate.high - estimate.low > 1.6 * alone  # captions of one photo are not independent


@pytest.mark.parametrize("seed", range(5))
def test_the_drawn_median_is_that_of_the_drawn_list(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ranks = torch.randint(0, 9, (7,), generator=generator).sort().values
    weights = torch.randint(0, 3, (20, 7), generator=generator).double()
    weights[:, 3] += 1
    medians = _median(ranks)(weights)
    for row, median in zip(weights.long(), medians.tolist(), strict=True):
        drawn = sorted(ranks.repeat_interleave(row).tolist())
        half = len(drawn) // 2
        naive = drawn[half] if len(drawn) % 2 else (drawn[half - 1] + drawn[half]) / 2
        assert median == naive + 1


def test_ties_are_told_and_what_losing_them_would_mean() -> None:
    eye = torch.eye(4)
    texts = eye[[0, 1, 1, 3]]  # images 1 and 2 get the same text, so image 2's is out of reach
    images = eye[[0, 1, 1, 3]]
    pairs = PairFeatures(images, texts, torch.arange(4), tuple("abcd"), ("w", "same", "same", "z"))
    found = retrieve(pairs, ks=(1,), n_replicates=0)
    values = _values(found)
    assert values["tied.text_to_image"] == 0.5
    assert values["recall_at_1.text_to_image"] == 0.75  # the first of the two wins
    assert any("recall at 1 would be 0.500 if every tie were lost" in note for note in found.notes)
    assert any("more than one photo: 2." in note for note in found.notes)


def test_a_k_that_every_query_meets_is_left_out_with_a_note() -> None:
    found = retrieve(_pairs(n=4, each=2), ks=(1, 5), n_replicates=0)
    assert "recall_at_5.image_to_text" in _values(found)
    assert "recall_at_5.text_to_image" not in _values(found)
    assert any("Recall at 5 (text to image) is left out" in note for note in found.notes)


def test_the_curve_is_recall_and_ends_at_one() -> None:
    found = retrieve(_pairs(noise=2.0), ks=(1,), n_replicates=0)
    lines = {line.label: line for line in found.charts[0].lines}
    assert lines["text_to_image"].y[0] == pytest.approx(_values(found)["recall_at_1.text_to_image"])
    assert lines["text_to_image"].y[-1] == lines["image_to_text"].y[-1] == lines["chance"].y[-1] == 1.0
    assert list(lines["image_to_text"].y) == sorted(lines["image_to_text"].y)


def test_worst_leaves_out_what_was_found() -> None:
    found = retrieve(_pairs(noise=2.0), n_replicates=0).found.text_to_image
    rows = worst(found, n=200)
    ranks = found.ranks[rows].tolist()
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] > 0
    assert len(rows) == int((found.ranks > 0).sum())
    assert worst(found, n=0) == []
    with pytest.raises(DataError, match="0 or more"):
        worst(found, n=-1)


def test_rows_hold_what_the_figures_were_made_of() -> None:
    pairs = _pairs(noise=2.0)
    found = retrieve(pairs, n_replicates=0)
    top = top_k(pairs.text_features, pairs.image_features, k=3)
    bad = [BadRow("9", "gone.jpg", "lost", "missing_image", "no such file")]
    captions = caption_rows(pairs, found, bad=bad, top=top)
    assert len(captions) == 121
    hits = pc.mean(pc.equal(captions["rank"].slice(0, 120), 1)).as_py()
    assert hits == _values(found)["recall_at_1.text_to_image"]
    assert captions["first_image"].to_pylist()[:5] == [
        row[0] for row in captions["top_images"].to_pylist()[:5]
    ]
    last = captions.slice(120).to_pylist()[0]
    assert (last["error_code"], last["image"], last["rank"]) == ("missing_image", "gone.jpg", None)
    images = image_rows(pairs, found).to_pylist()
    assert images[0]["captions"] == 3
    for row in images:
        place = captions["rank_in_image"][row["right_text"]].as_py()
        assert place == row["rank"]  # the best caption of a photo is one of its captions


def test_bad_input() -> None:
    pairs = _pairs(n=3)
    for arguments in ({"ks": ()}, {"ks": (0,)}, {"n_replicates": -1}):
        with pytest.raises(DataError, match="k must be 1 or more"):
            retrieve(pairs, **arguments)
    with pytest.raises(DataError, match="two or more"):
        retrieve(_pairs(n=1))
