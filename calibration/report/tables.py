"""Verdicts and tables of the report, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from rawpipe import CameraProfile, Quantity
from rawpipe.calibration.one_iso import IsoResult
from rawpipe.calibration.report.plot import SITES
from rawpipe.calibration.report.words import (
    LABELS,
    Verdict,
    cells,
    digits,
    is_bound,
    judge,
    label,
    mean,
    unit,
    with_interval,
)

_OVERVIEW = (
    "gain_dn_per_e",
    "read_sigma_dn",
    "row_sigma_dn",
    "tukey_lambda",
    "black_dn",
    "saturation_e",
    "dynamic_range_db",
)


def verdicts(isos: Sequence[IsoResult]) -> str:
    """How far to trust each ISO; those that share a verdict share a card."""
    judged = [(f"{one.iso:g}", judge(one.numbers)) for one in isos]
    good = sum(verdict.state == "good" for _, verdict in judged)
    summary = f"{good} of {len(judged)} ISOs {'is' if good == 1 else 'are'} reliable."
    if good in (0, len(judged)):
        one = f"ISO {judged[0][0]} is reliable." if good else f"ISO {judged[0][0]} is not reliable yet."
        summary = one if len(judged) == 1 else "Every ISO is reliable." if good else "No ISO is reliable yet."
    cards: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    limits: dict[str, list[str]] = {}
    for iso, verdict in judged:
        cards.setdefault((verdict.state, verdict.headline, verdict.reasons), []).append(iso)
        for limit in verdict.limits:
            limits.setdefault(limit, []).append(iso)
    body = "".join(_card(", ".join(same), Verdict(*what, limits=())) for what, same in cards.items())
    rest = ""
    for limit, same in limits.items():
        where = "every ISO" if len(same) == len(isos) else f"ISO {', '.join(same)}"
        rest += f"<li>{escape(limit)} <small>({where})</small></li>"
    if rest:
        body += f'<div class="verdict"><b>Less certain, or not measured</b><ul>{rest}</ul></div>'
    return (
        f"<h2>Verdict</h2><p>{summary} Reliable means: gain, read noise and black are precise enough to "
        f'build on, and the fit predicts light levels that it hasn\'t seen.</p><div class="verdicts">{body}</div>'
    )


def _card(isos: str, verdict: Verdict) -> str:
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    return (
        f'<div class="verdict {verdict.state}"><b>ISO {isos}</b> '
        f'<span class="state {verdict.state}">{escape(verdict.headline)}</span>'
        f"{f'<ul>{reasons}</ul>' if reasons else ''}</div>"
    )


def overview(isos: Sequence[IsoResult]) -> str:
    """The main numbers, one ISO a row."""
    heads = "".join(
        f"<th>{escape(label(name))}<small>{escape(unit(name)) or '&nbsp;'}</small></th>" for name in _OVERVIEW
    )
    rows = []
    for one in isos:
        shown = []
        for name in _OVERVIEW:
            got = one.numbers.get(name, Quantity.missing(""))
            value, ends = mean(got)
            text = "–" if got.value is None else with_interval(value, ends)
            if is_bound(got) and ends is not None:
                text = f"≤ {digits(ends[1], 3)}"
            shown.append(f'<td{"" if got.reliable else " class=doubt"} title="{escape(got.why or "")}">{text}</td>')
        state = judge(one.numbers).state
        rows.append(f'<tr><td><span class="state {state}">{one.iso:g}</span></td>{"".join(shown)}</tr>')
    return (
        _table(f"<th>ISO<small>&nbsp;</small></th>{heads}", rows)
        + '<p class="soft">Means of the four sites, with the 95 % interval of one; grey where not reliable. '
        "Every site by itself stands below, ISO by ISO.</p>"
    )


def quantities(numbers: Mapping[str, Quantity], title: str) -> str:
    """All quantities with intervals, n, and whether they are reliable."""
    if not numbers:
        return ""
    heads = "".join(f'<th class="site {name.lower()}">{name}</th>' for name in SITES)
    known = list(LABELS)
    ordered = sorted(numbers.items(), key=lambda item: known.index(item[0]) if item[0] in LABELS else len(known))
    rows = []
    for name, got in ordered:
        texts = cells(got)
        if len(texts) == 4:
            values = "".join(f"<td>{text}</td>" for text in texts)
        else:
            values = f'<td class="one" colspan="4">{texts[0] if texts else "–"}</td>'
        rows.append(
            f"<tr><td>{escape(label(name))}{f', {unit(name)}' if unit(name) else ''}<code>{escape(name)}</code></td>"
            f'{values}<td>{got.n or "–"}</td><td class="why">{_state(got)}</td></tr>'
        )
    heads = f"<th>quantity</th>{heads}<th>n</th><th class=why>reliable?</th>"
    return f"<h3 class=above>{escape(title)}</h3>{_table(heads, rows)}"


def _state(got: Quantity) -> str:
    why = escape((got.why or "").removeprefix("upper bound: "))
    if got.reliable:
        return f'<span class="state good">yes</span> {why}'
    if is_bound(got):
        return f'<span class="state part">upper bound</span> {why}'
    return f'<span class="state bad">{"no" if got.value is not None else "missing"}</span> {why}'


def regressions(across: Mapping[str, Any]) -> str:
    """Lines through ln noise against ln gain."""
    rows = []
    for name, fit in across.items():
        if name.startswith("ln_") and name.endswith("_against_ln_gain"):
            what = label(name.removeprefix("ln_").removesuffix("_against_ln_gain"))
            numbers = [digits(float(fit[part])) for part in ("slope", "bias", "sigma")]
            rows.append(_row([what, *numbers, str(fit["n"])]))
    if not rows:
        return ""
    heads = "".join(f"<th>{head}</th>" for head in ("slope", "intercept", "scatter", "ISOs"))
    return _table(f"<th>ln σ = slope · ln K + intercept; σ in DN, K in DN/e⁻</th>{heads}", rows)


def left_out(files: Sequence[tuple[str, str]]) -> str:
    """Captures that weren't used, and why."""
    if not files:
        return ""
    rows = [f'<tr><td>{escape(name)}</td><td class="why">{escape(why)}</td></tr>' for name, why in files]
    count = "One file" if len(files) == 1 else f"{len(files)} files"
    return f"<details open><summary>{count} not used</summary>{_table('', rows)}</details>"


def provenance(profile: CameraProfile) -> str:
    """The captures behind the profile, in a list to open."""
    rows = []
    for one in profile.provenance.get("files") or ():
        time_s = one.get("exposure_s")
        rest = [one.get("role"), one.get("iso"), None if time_s is None else digits(float(time_s))]
        rows.append(_row([one.get("name"), one.get("sha256"), *rest]))
    if not rows:
        return "<p>The profile names no files.</p>"
    heads = "".join(f"<th>{head}</th>" for head in ("file", "SHA-256", "role", "ISO", "exposure, s"))
    count = "One file" if len(rows) == 1 else f"{len(rows)} files"
    return f'<details class="files"><summary>{count} behind the profile</summary>{_table(heads, rows)}</details>'


def _row(texts: Iterable[object]) -> str:
    return "<tr>" + "".join(f"<td>{escape(str('' if text is None else text))}</td>" for text in texts) + "</tr>"


def _table(heads: str, rows: Sequence[str]) -> str:
    head = f"<thead><tr>{heads}</tr></thead>" if heads else ""
    return f'<div class="scroll"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>'
