"""Which files a walled worker may open, and the paths that no walls can serve."""

import sys
from pathlib import Path

import pytest

from secured_node.work.walls import Walls, WallsError
from secured_node.work.walls.grants import Use, grants

REPOSITORY = Path(__file__).resolve().parents[2]


def test_contradictory_paths_are_refused_in_words(tmp_path: Path) -> None:
    scratch, data = tmp_path / "scratch", tmp_path / "scratch" / "set.csv"
    scratch.mkdir()
    data.touch()
    for read, write, words in (
        ((data,), (scratch,), "lies in the scratch folder"),
        ((), (), "no scratch folder"),
        ((Path("set.csv"),), (scratch,), "is relative"),
        ((tmp_path / "missing",), (scratch,), "does not exist"),
        ((), (data,), "is not a folder"),
    ):
        with pytest.raises(WallsError, match=words):
            Walls(read=read, write=write)


def test_scratch_may_not_hold_code_or_lie_in_it() -> None:
    for folder in (Path("/"), Path(sys.base_prefix), REPOSITORY / "secured_node"):
        with pytest.raises(WallsError, match="overlap"):
            grants(Walls(read=(), write=(folder,)))


def test_a_data_set_may_not_be_half_the_machine(tmp_path: Path) -> None:
    for folder in (Path("/"), Path(sys.base_prefix)):
        with pytest.raises(WallsError, match="contains the program's code"):
            grants(Walls(read=(folder,), write=(tmp_path,)))


def test_a_working_folder_on_the_import_path_is_not_granted_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, state = tmp_path / "scratch", tmp_path / "state"
    (state / "plugin").mkdir(parents=True)
    (state / "plugin" / "__init__.py").touch()
    (state / "keys").mkdir()
    (state / "keys" / "node.key").touch()
    scratch.mkdir()
    monkeypatch.syspath_prepend(str(state))
    granted = {grant.path: grant.use for grant in grants(Walls(read=(), write=(scratch,)))}
    assert granted[state / "plugin"] is Use.READ
    assert granted[state] is Use.LIST
    assert not [path for path, use in granted.items() if use is not Use.LIST and (state / "keys").is_relative_to(path)]


def test_no_library_folder_is_granted_beyond_the_innermost(tmp_path: Path) -> None:
    granted = [grant.path for grant in grants(Walls(read=(), write=(tmp_path,)))]
    assert not {Path("/"), Path("/var/lib"), Path("/home"), Path("/proc"), Path("/etc")} & set(granted)
