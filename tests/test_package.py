"""What is promised to users and to the packaging: public names, the map of packages, the stages' entry points."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import rawpipe

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_all_is_sorted_and_every_name_is_there() -> None:
    assert rawpipe.__all__ == sorted(rawpipe.__all__)
    for name in rawpipe.__all__:
        assert getattr(rawpipe, name).__name__ == name
    assert set(rawpipe._HOME) == set(rawpipe.__all__)


def test_type_checkers_see_the_same_names_as_the_interpreter() -> None:
    assert imported_for_type_checkers(ROOT / "rawpipe" / "__init__.py") == set(rawpipe.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'rawpipe' has no attribute 'Camera'"):
        rawpipe.Camera  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'rawpipe.stages' has no attribute 'Demozaic'"):
        importlib.import_module("rawpipe.stages").Demozaic  # noqa: B018


def test_the_command_line_starts_without_torch() -> None:
    code = "import sys, rawpipe, rawpipe.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_packages_that_are_built_are_the_folders_on_disk(project: dict[str, Any]) -> None:
    folders = project["tool"]["setuptools"]["package-dir"]
    assert folders == {"rawpipe": "rawpipe", "rawpipe.stages": "stages", "rawpipe.calibration": "calibration"}
    found = set()
    for package, folder in folders.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            below = init.parent.relative_to(ROOT / folder).parts
            if package == "rawpipe" and below[:1] in (("stages",), ("calibration",)):
                continue  # symlinks to the folders beside
            found.add(".".join((package, *below)))
    packages = project["tool"]["setuptools"]["packages"]
    assert packages == sorted(packages)
    assert set(packages) == found


def test_no_folder_with_code_lacks_its_init() -> None:
    for root in ("rawpipe", "stages", "calibration"):
        for source in (ROOT / root).rglob("*.py"):
            assert (source.parent / "__init__.py").exists(), source.parent.relative_to(ROOT)


def test_every_entry_point_leads_to_a_stage_of_that_name(project: dict[str, Any]) -> None:
    from rawpipe._stage import name_of

    points = project["project"]["entry-points"]["rawpipe.stages"]
    assert list(points) == sorted(points)
    for name, place in points.items():
        module, _, attribute = place.partition(":")
        stage = object.__new__(getattr(importlib.import_module(module), attribute))
        assert name_of(stage) == name


def test_type_checkers_see_every_stage_that_has_an_entry_point(project: dict[str, Any]) -> None:
    points = project["project"]["entry-points"]["rawpipe.stages"]
    listed = imported_for_type_checkers(ROOT / "stages" / "__init__.py")
    assert listed == {place.partition(":")[2] for place in points.values()}


def test_every_room_has_a_readme_and_the_index_names_every_stage(project: dict[str, Any]) -> None:
    index = (ROOT / "stages" / "README.md").read_text(encoding="utf-8")
    for place in project["project"]["entry-points"]["rawpipe.stages"].values():
        module, _, attribute = place.partition(":")
        room = module.removeprefix("rawpipe.stages.").partition(".")[0]
        assert f"[{attribute}]({room}/README.md)" in index
        assert (ROOT / "stages" / room / "README.md").is_file(), room


def imported_for_type_checkers(source: Path) -> set[str]:
    """Names imported below `if TYPE_CHECKING`."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    blocks = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def test_lazy_modules_list_what_they_hold() -> None:
    from rawpipe import stages

    assert set(rawpipe.__all__) <= set(dir(rawpipe))
    assert "Demosaic" in stages.__all__ and set(stages.__all__) <= set(dir(stages))
