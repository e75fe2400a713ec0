"""The folder `base`: hashes of folders, and the main checkout."""

from pathlib import Path

from omokage.base.checkout import find_main_checkout
from omokage.base.files import hash_tree


def test_the_hash_of_a_folder_depends_on_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = hash_tree(tmp_path)
    (tmp_path / "a" / "x").write_text("2")
    second = hash_tree(tmp_path)
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    third = hash_tree(tmp_path)
    (tmp_path / "a" / "y").unlink()
    assert len({first, second, third, hash_tree(tmp_path)}) == 4


def test_the_main_checkout_is_the_outermost_one() -> None:
    assert find_main_checkout(Path("/a/b")) == Path("/a/b")
    assert find_main_checkout(Path("/a/b/.dvc/tmp")) == Path("/a/b/.dvc/tmp")
    assert find_main_checkout(Path("/a/b/.dvc/tmp/exps/standalone/tmp12")) == Path("/a/b")
    assert find_main_checkout(Path("/a/.dvc/tmp/exps/x/.dvc/tmp/exps/y")) == Path("/a")
