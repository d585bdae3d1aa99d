"""Readers of labelled images: layouts, labels, splits, ids, bad rows, what is refused, which reader fits."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from awase.cli._image_inputs import open_images
from awase.data.labelled import _walk, class_folders, image_table, images
from awase.errors import DataError, RowError, UnknownMethodError
from awase.images import load_image
from awase.protocols import ImageDataset
from awase.registry import load, names
from awase.types import BadRow, LabelledImage

Photo = Callable[..., bytes]


@pytest.fixture
def tree(tmp_path: Path, photo: Photo) -> Callable[..., Path]:
    """A folder with photos at the given places."""

    def make(*places: str) -> Path:
        folder = tmp_path / "data"
        for number, place in enumerate(places):
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo((number * 7 % 256, number % 256, 9)))
        return folder

    return make


def facts(rows: Any) -> list[tuple[str, str | None, str | None]]:
    """id, label and split of rows that must all be good."""
    found = []
    for row in rows:
        assert isinstance(row, LabelledImage), row
        found.append((row.id, row.label, row.split))
    return found


def codes(rows: Any) -> dict[str, str]:
    return {row.id: row.error_code for row in rows if isinstance(row, BadRow)}


# -- folders of classes


def test_class_folders(tree: Callable[..., Path]) -> None:
    folder = tree("tench/b.jpg", "tench/a.jpg", "golden_fish/1.png", "golden_fish/deep/2.JPEG")
    dataset = class_folders.open_images(folder)
    assert facts(dataset) == [
        ("golden_fish/1.png", "golden_fish", None),
        ("golden_fish/deep/2.JPEG", "golden_fish", None),
        ("tench/a.jpg", "tench", None),
        ("tench/b.jpg", "tench", None),
    ]
    assert list(dataset) == list(dataset)
    assert dataset.count() == 4
    assert isinstance(dataset, ImageDataset)
    assert all(load_image(row.image).mode == "RGB" for row in dataset if isinstance(row, LabelledImage))


@pytest.mark.parametrize("first", sorted(class_folders.SPLITS))
def test_folders_of_splits(first: str, tree: Callable[..., Path]) -> None:
    folder = tree(f"{first}/cat/1.jpg", f"{first}/dog/2.jpg", "Test/cat/3.jpg")
    found = facts(class_folders.open_images(folder))
    assert set(found) == {
        (f"{first}/cat/1.jpg", "cat", first),
        (f"{first}/dog/2.jpg", "dog", first),
        ("Test/cat/3.jpg", "cat", "test"),
    }


def test_one_folder_that_is_no_split_makes_all_of_them_classes(tree: Callable[..., Path]) -> None:
    folder = tree("train/1.jpg", "bus/1.jpg", "test/1.jpg")
    assert [label for _, label, _ in facts(class_folders.open_images(folder))] == ["bus", "test", "train"]


def test_classes_named_like_splits_hold_photos_alone(tree: Callable[..., Path]) -> None:
    folder = tree("train/1.jpg", "test/1.jpg")
    assert {(label, split) for _, label, split in facts(class_folders.open_images(folder))} == {
        ("train", None),
        ("test", None),
    }


def test_a_photo_outside_of_all_classes_is_a_bad_row(tree: Callable[..., Path]) -> None:
    folder = tree("cat/1.jpg", "dog/2.jpg", "stray.jpg")
    assert codes(class_folders.open_images(folder)) == {"stray.jpg": "bad_row"}
    splits = tree("cat/1.jpg").parent / "splits"
    for place in ("train/cat", "test/cat"):
        (splits / place).mkdir(parents=True)
    (splits / "train" / "x.jpg").write_bytes(b"x")
    (row,) = class_folders.open_images(splits)
    assert isinstance(row, BadRow)
    assert "DIR/split/class/photo.jpg is expected" in row.error


def test_what_is_no_photo_is_passed_over(tree: Callable[..., Path]) -> None:
    folder = tree("cat/1.jpg", "dog/2.jpg", ".git/3.jpg", "cat/.4.jpg", "__MACOSX/cat/5.jpg")
    (folder / "cat" / "notes.txt").write_text("a cat")
    (folder / "README.md").write_text("cats")
    assert [id for id, _, _ in facts(class_folders.open_images(folder))] == ["cat/1.jpg", "dog/2.jpg"]


def test_a_photo_of_another_format_keeps_its_row(tree: Callable[..., Path]) -> None:
    folder = tree("cat/1.jpg", "dog/2.jpg")
    (folder / "cat" / "moving.GIF").write_bytes(b"GIF89a")
    rows = [row for row in class_folders.open_images(folder) if row.id == "cat/moving.GIF"]
    assert len(rows) == 1
    assert isinstance(rows[0], LabelledImage)
    with pytest.raises(RowError, match="other formats are not read"):
        load_image(rows[0].image)


def test_names_that_are_not_utf8_stay_apart(tree: Callable[..., Path], photo: Photo) -> None:
    folder = tree("cat/1.jpg")
    try:
        for byte in (b"\xe9", b"\xe8"):
            (folder / "cat" / os.fsdecode(byte + b".jpg")).write_bytes(photo())
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    ids = [id for id, _, _ in facts(class_folders.open_images(folder))]
    assert sorted(ids) == ["cat/1.jpg", "cat/?.jpg", "cat/?.jpg#2"]


def test_the_fingerprint_tells_of_files_and_not_of_the_place(tree: Callable[..., Path], photo: Photo) -> None:
    folder = tree("cat/1.jpg", "dog/2.jpg")
    before = class_folders.open_images(folder).fingerprint()
    moved = folder.rename(folder.with_name("elsewhere"))
    assert class_folders.open_images(moved).fingerprint() == before
    (moved / "dog" / "3.jpg").write_bytes(photo())
    assert class_folders.open_images(moved).fingerprint() != before


def test_a_folder_without_class_folders(tree: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"but 2 photos; DIR/class/photo\.jpg is expected"):
        class_folders.open_images(tree("1.jpg", "2.jpg"))
    with pytest.raises(DataError, match="is not there"):
        class_folders.open_images(tmp_path / "nothing")


@pytest.mark.parametrize("module", [class_folders, images])
def test_folders_have_no_columns(module: Any, tree: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="--label-column breed is for tables"):
        module.open_images(tree("a/1.jpg"), label_column="breed")


# -- folders without classes


def test_photos_at_any_depth(tree: Callable[..., Path]) -> None:
    folder = tree("b.jpg", "2024/05/a.jpg", "2024/c.jpg")
    dataset = images.open_images(folder)
    assert facts(dataset) == [
        ("b.jpg", None, None),
        ("2024/c.jpg", None, None),
        ("2024/05/a.jpg", None, None),
    ]
    assert dataset.count() == 3


def test_very_deep_folders(tree: Callable[..., Path]) -> None:
    deep = "/".join(["d"] * 300)
    assert len(facts(images.open_images(tree(f"{deep}/1.jpg")))) == 1


def test_beyond_a_bound_nothing_is_counted(
    tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_walk, "_COUNTED", 2)
    assert images.open_images(tree("1.jpg", "2.jpg", "3.jpg")).count() is None


# -- tables


@pytest.fixture
def table(tree: Callable[..., Path]) -> Callable[..., Path]:
    folder = tree("a.jpg", "sub/b.jpg", "c.jpg")

    def make(content: str, name: str = "t.csv") -> Path:
        path = folder / name
        path.write_text(content, encoding="utf-8")
        return path

    return make


def test_a_csv(table: Callable[..., Path]) -> None:
    path = table("image,label,split\na.jpg,cat,train\nsub/b.jpg, dog ,test\nc.jpg,,\n")
    dataset = image_table.open_images(path)
    assert facts(dataset) == [("a.jpg", "cat", "train"), ("sub/b.jpg", "dog", "test"), ("c.jpg", None, None)]
    assert dataset.count() == 3
    assert isinstance(dataset, ImageDataset)


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "json", "parquet"])
def test_every_kind_of_table(kind: str, table: Callable[..., Path]) -> None:
    rows = [{"path": "a.jpg", "class": 0, "split": "val"}, {"path": "c.jpg", "class": 11, "split": "val"}]
    path = table("", f"t.{kind}")
    if kind == "tsv":
        path.write_text("path\tclass\tsplit\na.jpg\t0\tval\nc.jpg\t11\tval\n")
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "json":
        path.write_text(json.dumps(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    dataset = image_table.open_images(path)
    assert facts(dataset) == [("a.jpg", "0", "val"), ("c.jpg", "11", "val")]
    assert dataset.count() == 2


def test_parquet_with_the_bytes_of_the_photos(tmp_path: Path, photo: Photo) -> None:
    path = tmp_path / "t.parquet"
    cells = [{"bytes": photo(), "path": "x.png"}, {"bytes": photo(), "path": None}]
    pq.write_table(pa.Table.from_pylist([{"image": cell, "label": 1} for cell in cells]), path)
    (first, _, _), (second, label, _) = facts(image_table.open_images(path))
    assert first == "x.png"
    assert second.startswith("bytes-")
    assert label == "1"


def test_columns_by_option(table: Callable[..., Path]) -> None:
    path = table("photo,breed,number\na.jpg,pug,7\n")
    found = image_table.open_images(path, image_column="photo", label_column="breed", id_column="number")
    assert facts(found) == [("7", "pug", None)]
    with pytest.raises(DataError, match=r"no label column 'race'; found: 'photo', 'breed', 'number'"):
        image_table.open_images(path, image_column="photo", label_column="race")
    with pytest.raises(DataError, match=r"--image-column.*such as image,label"):
        image_table.open_images(path)


def test_a_table_without_labels(table: Callable[..., Path]) -> None:
    assert facts(image_table.open_images(table("image\na.jpg\n"))) == [("a.jpg", None, None)]


def test_an_image_that_comes_twice_keeps_an_id_of_its_own(table: Callable[..., Path]) -> None:
    found = facts(image_table.open_images(table("image,label\na.jpg,cat\na.jpg,dog\n")))
    assert found == [("a.jpg", "cat", None), ("a.jpg#2", "dog", None)]


def test_damaged_rows_are_rows(table: Callable[..., Path]) -> None:
    path = table(
        "image,label\n"
        "a.jpg,cat\n"
        ",cat\n"
        "../secret.jpg,cat\n"
        "http://example.org/a.jpg,cat\n"
        "b.jpg,cat,extra\n"
        f"c.jpg,{'x' * 2000}\n"
        "gone.jpg,cat\n"
    )
    rows = list(image_table.open_images(path))
    assert len(rows) == 7
    assert codes(rows) == {
        "line 3": "missing_image",
        "../secret.jpg": "unsafe_image",
        "http://example.org/a.jpg": "unsafe_image",
        "line 6": "bad_row",
        "c.jpg": "bad_row",
    }
    assert "2000 characters" in next(
        row.error for row in rows if isinstance(row, BadRow) and row.id == "c.jpg"
    )


def test_a_label_that_is_no_text(table: Callable[..., Path]) -> None:
    path = table('{"image": "a.jpg", "label": ["cat"]}\n{"image": "c.jpg", "label": "cat"}\n', "t.jsonl")
    assert codes(image_table.open_images(path)) == {"a.jpg": "bad_row"}


def test_a_label_in_another_encoding(table: Callable[..., Path]) -> None:
    path = table("")
    path.write_bytes(b"image,label\na.jpg,caf\xe9\nc.jpg,cat\n")
    assert codes(image_table.open_images(path)) == {"a.jpg": "bad_row"}


def test_images_of_a_table_elsewhere(table: Callable[..., Path], tmp_path: Path) -> None:
    path = table("image,label\na.jpg,cat\n").rename(tmp_path / "t.csv")
    (row,) = image_table.open_images(path, images=tmp_path / "data")
    assert isinstance(row, LabelledImage)
    assert row.image.path == (tmp_path / "data" / "a.jpg").resolve()


# -- which reader


@pytest.mark.parametrize(
    ("places", "reader"),
    [
        (("cat/1.jpg", "dog/1.jpg"), "class_folders"),
        (("cat/1.jpg", "dog/sub/1.jpg", "owl/2.jpg"), "class_folders"),
        (("train/cat/1.jpg", "train/dog/1.jpg"), "class_folders"),
        (("train/cat/1.jpg", "test/dog/1.jpg"), "class_folders"),
        (("images/1.jpg",), "images"),
        (("train/images/1.jpg", "test/images/1.jpg"), "images"),
        (("1.jpg", "2.jpg"), "images"),
        (("album/1.jpg", "other/2.jpg", "3.jpg"), "images"),
        (("2024/05/1.jpg", "2023/01/2.jpg"), "images"),
    ],
)
def test_one_reader_fits(places: tuple[str, ...], reader: str, tree: Callable[..., Path]) -> None:
    folder = tree(*places)
    assert [name for name in names("image_reader") if load("image_reader", name).fits(folder)] == [reader]
    assert type(open_images(str(folder))) is type(load("image_reader", reader).open_images(folder))


def test_tables_fit(table: Callable[..., Path]) -> None:
    path = table("image,label\na.jpg,cat\n")
    assert [name for name in names("image_reader") if load("image_reader", name).fits(path)] == [
        "image_table"
    ]
    assert facts(open_images(str(path))) == [("a.jpg", "cat", None)]


def test_a_reader_by_name(tree: Callable[..., Path]) -> None:
    folder = tree("cat/1.jpg", "dog/1.jpg")
    assert {label for _, label, _ in facts(open_images(str(folder), reader="images"))} == {None}
    with pytest.raises(UnknownMethodError, match="class_folders, image_table, images"):
        open_images(str(folder), reader="folders")


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("empty", "an empty folder"),
        ("texts", r"a folder with \.txt"),
        ("gone", "not there"),
        ("http://example.org/x", "a URL"),
        ("a.zip", "a file of 4 bytes of an unknown kind"),
    ],
)
def test_no_reader_says_what_was_seen(source: str, seen: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04")
    place = source if "://" in source else str(tmp_path / source)
    with pytest.raises(DataError, match=rf"is {seen}.*DIR/class/photo\.jpg.*image,label"):
        open_images(place)
