"""One compilation serves many photos."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from rawpipe import (
    Noise,
    Pipeline,
    Space,
    Step,
    bayer,
)
from rawpipe.stages import (
    BlackLevel,
    ClipHighlights,
    ColorTransform,
    Demosaic,
    Exposure,
    Linearize,
    ToneCurve,
    WhiteBalance,
)
from rawpipe.testing import synthetic_frame


def develop(method: str = "malvar2004", **options: Any) -> Pipeline:
    return Pipeline(
        [
            Linearize(),
            BlackLevel(),
            WhiteBalance("gray_world"),
            ClipHighlights(),
            Demosaic(method),
            ColorTransform(),
            Exposure("auto"),
            ToneCurve(),
        ],
        **options,
    )


@pytest.mark.parametrize(
    ("pipe", "expected"),
    [
        (  # nothing looks at the pixels: one group of local stages, compiled once per phase
            Pipeline([Linearize(), BlackLevel(), WhiteBalance(), ClipHighlights(), Demosaic(), ColorTransform()]),
            4,
        ),
        (develop(), 9),  # gray world and auto exposure cut it in three; the last no longer knows a phase
    ],
    ids=["one group", "three groups"],
)
def test_one_compilation_serves_all_photos_of_a_size_and_phase(pipe: Pipeline, expected: int) -> None:
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    compiled = replace(pipe, rows=16).compile(backend=counter)
    for cfa in bayer.PHASES:
        for index, iso in enumerate((100, 400, 6400)):
            frame = synthetic_frame(Space.SENSOR, 64, 80, cfa, dtype=torch.uint16, seed=index)
            assert frame.shot.neutral is not None
            shot = replace(
                frame.shot,
                iso=iso,
                make=f"Maker {index}",
                exposure_s=0.01 * (index + 1),
                neutral=frame.shot.neutral * torch.tensor([1 + index / 50, 1, 1 - index / 50]),
            )
            frame = replace(
                frame,
                shot=shot,
                neutral=shot.neutral,
                black=frame.black + index,
                noise=Noise(*(torch.full((4,), 1.0 + index),) * 3),
                history=tuple(Step("before", {"number": n}) for n in range(index)),
            )
            got, eager = compiled(frame), pipe(frame)
            torch.testing.assert_close(got.data, eager.data, rtol=0, atol=1e-5)
            assert got.history == eager.history
            assert got.history[-1].seconds is None
    assert counter.frame_count == expected


def test_a_process_may_meet_more_sizes_and_pipelines_than_dynamos_default_of_eight() -> None:
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    for ev in (1.0, 2.0):
        compiled = Pipeline([Exposure(ev)], rows=64).compile(backend=counter)
        for size in range(10, 20, 2):
            frame = synthetic_frame(Space.MOSAIC, size, 20)
            torch.testing.assert_close(compiled(frame).data, frame.data * 2**ev)
    assert counter.frame_count == 10


@pytest.mark.parametrize(("mode", "copies"), [("default", False), ("reduce-overhead", True)])
def test_results_of_graphs_are_copied_since_the_next_one_is_written_over_them(
    mode: str, copies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = torch.zeros(4, 4)

    def written_over(function: object, **options: object) -> object:
        assert options["mode"] == mode
        return lambda stages, frame: replace(frame, data=same.add_(1))

    monkeypatch.setattr(torch, "compile", written_over)
    compiled = Pipeline([Exposure(1.0)]).compile(mode=mode)
    first, second = (compiled(synthetic_frame(Space.MOSAIC, 4, 4)).data for _ in range(2))
    assert float(second[0, 0]) == 2 and float(first[0, 0]) == (1 if copies else 2)
