"""Folders and tables of labelled images that want out: links, loops, pipes, absolute and odd names."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from awase.data.labelled import class_folders, image_table, images
from awase.errors import RowError
from awase.images import load_image
from awase.types import BadRow, LabelledImage

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need rights there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """data/cat and data/dog with a photo each, and secret.jpg beside data."""
    from PIL import Image

    for place in ("data/cat/1.png", "data/dog/1.png", "outside/secret.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "red").save(tmp_path / place)
    return tmp_path / "data"


READERS = [class_folders.open_images, images.open_images]


@pytest.mark.parametrize("open_images", READERS)
def test_a_linked_photo_may_not_lead_out(open_images: Callable[..., object], folder: Path) -> None:
    (folder / "cat" / "2.png").symlink_to(folder.parent / "outside" / "secret.png")
    rows = {row.id: row for row in open_images(folder)}  # type: ignore[attr-defined]
    bad = rows["cat/2.png"]
    assert isinstance(bad, BadRow)
    assert bad.error_code == "unsafe_image"
    assert bad.error.count("cat/2.png") <= 2
    # with a root that holds it, it is one more photo
    rows = {row.id: row for row in open_images(folder, images=folder.parent)}  # type: ignore[attr-defined]
    assert isinstance(rows["cat/2.png"], LabelledImage)


@pytest.mark.parametrize("open_images", READERS)
def test_linked_folders_and_loops_are_not_entered(open_images: Callable[..., object], folder: Path) -> None:
    (folder / "cat" / "loop").symlink_to(folder)
    (folder / "owl").symlink_to(folder.parent / "outside")
    dataset = open_images(folder)
    assert [row.id for row in dataset] == ["cat/1.png", "dog/1.png"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("open_images", READERS)
def test_a_link_that_leads_nowhere_and_a_pipe_cost_their_rows(
    open_images: Callable[..., object], folder: Path
) -> None:
    (folder / "cat" / "2.png").symlink_to(folder / "cat" / "gone.png")
    (folder / "cat" / "3.png").symlink_to(folder / "cat" / "3.png")
    os.mkfifo(folder / "cat" / "4.png")
    rows = list(open_images(folder))  # type: ignore[call-overload]
    assert len(rows) == 5
    failed = set()
    for row in rows:
        try:
            if isinstance(row, LabelledImage):
                load_image(row.image)
            else:
                failed.add(row.id)
        except RowError:
            failed.add(row.id)
    assert failed == {"cat/2.png", "cat/3.png", "cat/4.png"}


def test_a_folder_that_is_shut_is_a_bad_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refusing(place: Path) -> object:
        if Path(place).name == "dog":
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refusing)
    rows = list(class_folders.open_images(folder))
    assert [type(row) for row in rows] == [LabelledImage, BadRow]
    bad = rows[1]
    assert isinstance(bad, BadRow)
    assert (bad.id, bad.error_code) == ("dog", "unreadable_image")


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname",
        "../outside/secret.png",
        "cat/../../outside/secret.png",
        "file:///etc/hostname",
        "https://example.org/a.png",
        "data:image/png;base64,AAAA",
        "//server/share/a.png",
        "out/secret.png",
    ],
)
def test_a_table_reads_nothing_outside(name: str, folder: Path) -> None:
    (folder / "out").symlink_to(folder.parent / "outside")
    table = folder / "t.csv"
    table.write_text(f'image,label\n"{name}",cat\ncat/1.png,cat\n')
    first, second = image_table.open_images(table)
    assert isinstance(first, BadRow)
    assert first.error_code == "unsafe_image"
    assert isinstance(second, LabelledImage)
