"""Calibrate 200 simulated sensors whose truth is known, and compare errors and intervals with the Cramér-Rao bound.

    python tests/benchmarks/calibration_truth.py --count 200

Every sensor is drawn from the range of real ones (see `SimulatedSensor.random`); seeds 1000..1199 were fixed before
the first run. Captures: 16 darks, 8 exposures of 2 flats, 1 megapixel each, 1 % of the brightest flats clipped.
"""

from __future__ import annotations

import argparse
import json
import math
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm
from tqdm import tqdm

from rawpipe.calibration.mosaics import Loaded, site
from rawpipe.calibration.one_iso import IsoCaptures, measure_iso
from rawpipe.calibration.simulation import SimulatedSensor
from rawpipe.calibration.tukey import fisher_information, unit_variance

FIRST_SEED = 1000
FRAMES, LEVELS = 16, 8
FLOORS = {"gain": 0.005, "read": 0.01, "row": 0.02, "black": 0.05, "lambda": 0.02}
UNSURE = {"gain": 0.01, "read": 0.03, "row": 0.03, "lambda": 0.02, "black": math.inf}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, help="a file of JSON lines to go on from")
    options = parser.parse_args()
    done = {}
    if options.results and options.results.exists():
        done = {row["seed"]: row for row in map(json.loads, options.results.read_text().splitlines())}
    jobs = [(seed, options.size) for seed in range(options.first, options.first + options.count) if seed not in done]
    with Pool(options.processes) as pool:
        for row in tqdm(pool.imap_unordered(_measured, jobs), total=len(jobs), disable=not jobs):
            done[row["seed"]] = row
            if options.results:
                with options.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    print(table([done[seed] for seed in sorted(done)]))


def _measured(job: tuple[int, int]) -> dict:
    return one_sensor(*job)


def one_sensor(seed: int, size: int) -> dict:
    """Estimates, intervals, truth and bound of every parameter of one sensor."""
    sensor = SimulatedSensor.random(seed, (size, size))
    darks = np.stack([sensor.dark() for _ in range(FRAMES)])
    levels = clipping(sensor, 0.01) * np.geomspace(0.02, 1, LEVELS)
    flats = [(Loaded(np.stack([sensor.flat(v), sensor.flat(v)]), sensor.cfa), None) for v in levels]
    result = measure_iso(
        IsoCaptures(
            iso=100,
            darks={0.01: Loaded(darks, sensor.cfa)},
            flats=flats,
            black=np.full(4, sensor.black_dn),
            white=np.full(4, float(sensor.white)),
        )
    )
    truth = {
        "gain": np.full(4, sensor.gain_dn_per_e),
        "read": np.full(4, sensor.read_sigma_dn),
        "row": np.array([sensor.row_sigma_dn]),
        "black": sensor.mean_dark_dn(~sensor.hot_pixels),
        "lambda": np.full(4, sensor.tukey_lambda),
    }
    bounds = bounds_of(sensor, levels)
    names = {
        "gain": "gain_dn_per_e",
        "read": "read_sigma_dn",
        "row": "row_sigma_dn",
        "black": "black_dn",
        "lambda": "tukey_lambda",
    }
    row: dict = {"seed": seed, "sensor": {k: v for k, v in vars(sensor).items() if isinstance(v, (int, float, str))}}
    row["clipped"] = float(np.mean([(f.counts >= sensor.white).mean() for f, _ in flats[-1:]]))
    row["held_out"] = [np.stack([v.held_out, v.held_out_se]).tolist() for v in result.transfer.levels]
    row["held_out_reliable"] = result.numbers["held_out_ratio"].reliable
    for name, key in names.items():
        got = result.numbers[key]
        row[name] = {
            "value": np.ravel(got.value).tolist(),
            "ci95": np.reshape(got.ci95, (-1, 2)).tolist(),
            "truth": truth[name].tolist(),
            "bound": bounds[name],
            "reliable": got.reliable,
            "why": got.why,
        }
    return row


def clipping(sensor: SimulatedSensor, share: float) -> float:
    """The level at which that share of a flat's pixels saturates."""
    span = sensor.white - sensor.black_dn
    some = sensor.response[::8, ::8].astype(np.float64)

    def clipped(level: float) -> float:
        x = some * level
        return float(norm.cdf((x - span) / np.sqrt(sensor.gain_dn_per_e * x + sensor.read_sigma_dn**2)).mean())

    return float(brentq(lambda level: clipped(level) - share, span / 4, 4 * span))


def bounds_of(sensor: SimulatedSensor, levels: np.ndarray) -> dict[str, float]:
    """Cramér-Rao standard deviations. Gain and row noise: of Gaussian noise of the same variances."""
    pixels = sensor.size[0] * sensor.size[1] / 4
    height, width = sensor.size
    read2 = sensor.read_sigma_dn**2 + 1 / 12
    scale = sensor.read_sigma_dn / math.sqrt(unit_variance(sensor.tukey_lambda))
    # One mean per pixel is unknown, so one capture in sixteen is lost to it.
    information = fisher_information(scale, sensor.tukey_lambda, sensor.step) * pixels * (FRAMES - 1)
    covariance = np.linalg.inv(information)
    h = 1e-3
    slope = (math.log(unit_variance(sensor.tukey_lambda + h)) - math.log(unit_variance(sensor.tukey_lambda - h))) / (
        4 * h
    )
    gradient = np.array([0, 1, slope])
    read = sensor.read_sigma_dn * math.sqrt(gradient @ covariance @ gradient)
    total = sensor.row_sigma_dn**2 + read2 / width
    row2 = total * math.sqrt(2 / ((FRAMES - 1) * (height - 1)))
    row = row2 / (2 * sensor.row_sigma_dn) if sensor.row_sigma_dn > 0 else math.sqrt(row2)
    own = site(sensor.response, sensor.cfa, 0).astype(np.float64)
    information = 0.0
    for level in levels:
        x = own * level
        v = sensor.gain_dn_per_e * x + read2
        used = sensor.black_dn + x + 4 * np.sqrt(v) < sensor.white
        if used.any():
            x, v = x[used], v[used]
            photons = float((x**2 / (2 * v**2)).sum())
            shake = (sensor.gain_dn_per_e * sensor.drift_dn / math.sqrt(2) / float(x.mean())) ** 2
            information += 1 / (1 / photons + shake)
    black = math.sqrt(sensor.drift_dn**2 + sensor.row_sigma_dn**2 / (height / 2) + read2 / pixels) / math.sqrt(FRAMES)
    return {
        "gain": 1 / math.sqrt(information),
        "read": read,
        "row": row,
        "black": black,
        "lambda": math.sqrt(covariance[2, 2]),
    }


def floor_of(name: str, sensor: dict, truth: float) -> float:
    """The error that is allowed whatever the bound says."""
    if name == "lambda":
        return FLOORS[name]
    if name == "black":
        return FLOORS[name] + sensor["drift_dn"] / 4
    below = name == "read" and sensor["read_sigma_dn"] < sensor["step"]
    return (0.025 if below else FLOORS[name]) * truth


def table(rows: list[dict]) -> str:
    """Per parameter: errors against what is allowed, coverage, half-width against the bound, and what was refused."""
    lines = [
        f"{len(rows)} sensors; {np.mean([r['clipped'] for r in rows]):.2%} of the brightest flats clipped",
        "",
        "| parameter | cases | within max(floor, 4 CR) | worst error / allowed | coverage of 95 % | "
        "median half-width / 1.96 CR | unreliable or bound | of these rightly | left out wrongly |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in FLOORS:
        errors, covered, widths, refused, right, missed = [], [], [], 0, 0, 0
        for r in rows:
            got = r[name]
            worth = got["bound"] / max(got["truth"][0], 1e-12) if name in ("gain", "read", "row") else got["bound"]
            poor = worth > UNSURE[name] or (name == "row" and r["sensor"]["row_sigma_dn"] == 0)
            refused += not got["reliable"]
            right += poor and not got["reliable"]
            missed += poor and got["reliable"]
            for value, (low, high), truth in zip(got["value"], got["ci95"], got["truth"], strict=True):
                inside = low <= truth <= high
                if name == "row" and truth == 0:
                    covered.append(inside)
                    continue
                errors.append(abs(value - truth) / max(floor_of(name, r["sensor"], truth), 4 * got["bound"]))
                covered.append(inside)
                if got["reliable"]:
                    widths.append((high - low) / 2 / 1.96 / got["bound"])
        lines.append(
            f"| {name} | {len(covered)} | {np.mean(np.array(errors) <= 1):.1%} | {max(errors, default=0):.2f} | "
            f"{np.mean(covered):.1%} | {np.median(widths):.2f} | {refused} | {right} | {missed} |"
        )
    ratios = np.array([level for r in rows for level in r["held_out"]])
    z = (ratios[:, 0] - 1) / ratios[:, 1]
    z = z[np.isfinite(z)]
    lines += [
        "",
        f"Levels held out of the fit: d²/(2 variance) averages {np.nanmean(ratios[:, 0]):.4f}; "
        f"{np.mean(np.abs(z) < 1.96):.1%} of {len(z)} lie within their 95 % interval; "
        f"{sum(r['held_out_reliable'] for r in rows)} of {len(rows)} fits are called consistent.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
