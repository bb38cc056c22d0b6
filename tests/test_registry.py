from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint, EntryPoints
from typing import Any

import pytest

from rawpipe import Pipeline, PipelineError, _registry
from rawpipe.stages import Demosaic


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """Entry points that are installed for the time of a test, beside ours."""
    added: list[EntryPoint] = []
    ours = _registry.entry_points

    def with_added(**options: Any) -> EntryPoints:
        return EntryPoints([*ours(**options), *added])

    monkeypatch.setattr(_registry, "entry_points", with_added)
    _registry.installed.cache_clear()
    yield added
    monkeypatch.undo()
    _registry.installed.cache_clear()


def test_a_registered_name_gives_the_class() -> None:
    assert _registry.load("demosaic") is Demosaic
    assert Pipeline(["demosaic"]).stages == (Demosaic(),)


def test_names_are_sorted() -> None:
    assert list(_registry.installed()) == sorted(_registry.installed())


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(PipelineError, match=r"got stage 'demosaik'; expected one of .*; did you mean 'demosaic'\?"):
        _registry.load("demosaik")


def test_the_provider_is_distribution_and_version() -> None:
    from rawpipe import __version__

    assert _registry.provider("demosaic") == f"rawpipe-isp {__version__}"
    assert _registry.provider("somebody's_own") == ""


def test_the_metadata_of_a_distribution_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = _registry.provider("demosaic")
    monkeypatch.setattr(Distribution, "metadata", property(lambda self: pytest.fail("parsed again")))
    assert _registry.provider("identity") == _registry.provider("demosaic") == said


def test_a_third_partys_stage_enters_as_ours_do(points: list[EntryPoint]) -> None:
    points.append(EntryPoint("ours_again", "rawpipe.stages.demosaic:Demosaic", _registry.STAGES))
    assert _registry.load("ours_again") is Demosaic


def test_two_packages_that_claim_one_name_are_both_named(points: list[EntryPoint]) -> None:
    points.append(EntryPoint("demosaic", "other.package:Demosaic", _registry.STAGES))
    with pytest.raises(PipelineError, match=r"rawpipe.stages.demosaic:Demosaic and other.package:Demosaic; uninstall"):
        _registry.load("demosaic")


@pytest.mark.parametrize("place", ["no_such_package.stage:Stage", "rawpipe.stages.demosaic:NoSuchClass"])
def test_a_stage_that_cannot_be_imported_is_named(points: list[EntryPoint], place: str) -> None:
    points.append(EntryPoint("broken", place, _registry.STAGES))
    with pytest.raises(PipelineError, match=f"stage 'broken' is registered as {place}, which can't be imported"):
        _registry.load("broken")


def test_a_stage_registered_under_another_name_than_its_class_is_refused(points: list[EntryPoint]) -> None:
    points.append(EntryPoint("interpolate", "rawpipe.stages.demosaic:Demosaic", _registry.STAGES))
    with pytest.raises(PipelineError, match=r"'interpolate' is a class named Demosaic.*expected the name 'demosaic'"):
        Pipeline.from_recipe('schema = 1\n[[stage]]\nname = "interpolate"')


def test_a_broken_plugin_is_named_when_it_is_used_and_harms_no_other(points: list[EntryPoint], capsys: Any) -> None:
    from rawpipe.cli import main

    points.append(EntryPoint("demosaic", "other.package:Demosaic", _registry.STAGES))
    points.append(EntryPoint("broken", "tests_that_do_not_exist:Stage", _registry.STAGES))
    points.append(EntryPoint("antique", "antigravity_of_old:Stage", _registry.STAGES))
    assert _registry.load("identity") is not None
    assert main(["stages"]) == 0
    said = capsys.readouterr()
    assert "white_balance" in said.out and "broken" not in said.out
    assert all(name in said.err for name in ("demosaic", "broken", "antique"))


def test_a_plugin_that_raises_while_it_is_imported_is_named(
    points: list[EntryPoint], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raises_when_imported.py").write_text("raise ValueError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    points.append(EntryPoint("raises", "raises_when_imported:Stage", _registry.STAGES))
    with pytest.raises(PipelineError, match="'raises' is registered as .* can't be imported: no licence"):
        _registry.load("raises")
