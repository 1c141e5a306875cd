"""Medians, intervals and the table."""
import random
from statistics import mean, median

from .cells import WHAT
from .rounds import BUSY

RESAMPLES = 10000


def interval(ratios):
    """Bounds of the middle 95 % of the medians of resampled rounds (bootstrap); the same ones for the same rounds."""
    if len(ratios) < 2:
        return None
    draw = random.Random(1)
    medians = sorted(median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1]


def shares(result, ceilings, model_bytes):
    """'92 % and 80 % of the read stream': how much of what bounds the cell each program reaches."""
    speeds = [median(r.ours for r in result.rounds), median(r.peer for r in result.rounds)]

    def text(per_token, ceiling):
        return " and ".join(f"{speed * per_token / ceiling:.0%}".replace("%", " %") for speed in speeds)

    if result.cell.bound == "stream":
        read = ceilings.get("weight_bytes_per_token") or model_bytes
        large, small = (mean(r.stream[i] for r in result.rounds) * 1e9 for i in (0, 1))
        return f"{text(read, large)} of 1 GiB, {text(read, small)} of 64 MiB"
    if result.cell.bound == "ints" and ceilings.get("model_n_params"):
        floats = any(name in ceilings.get("model_type", "") for name in ("F16", "F32"))  # BF16, too
        ceiling = ceilings.get("f32_gflop_s" if floats else "int8_gop_s")
        if ceiling:
            return f"{text(2 * ceilings['model_n_params'], ceiling * 1e9)} of {'f32' if floats else 'int8'}"
    return ""


def row(result, ceilings, model_bytes):
    name = result.cell.name
    rounds = f"{len(result.rounds)} ({result.discarded})"
    if not result.rounds:
        why = "failed" if result.failure else "never steady" if result.discarded else "not measured"
        return f"| {name} | {why} | | | | {rounds} | | {result.peer} |"
    ratios = [r.ratio for r in result.rounds]
    bounds = interval(ratios)
    spread = f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else ""
    failed = ", then failed" if result.failure else ""
    return (f"| {name} | {median(r.ours for r in result.rounds):.1f} | {median(r.peer for r in result.rounds):.1f} "
            f"| {median(ratios):.2f} | {spread} | {rounds}{failed} | {shares(result, ceilings, model_bytes)} "
            f"| {result.peer} |")


def facts(ceilings, results):
    """What the machine could do at best, in a line."""
    streams = [r.stream for result in results for r in result.rounds]
    parts = []
    if streams:
        parts.append(f"read stream {median(s[0] for s in streams):.1f} GB/s over 1 GiB, "
                     f"{median(s[1] for s in streams):.1f} GB/s over 64 MiB")
    for name, unit in (("int8_gop_s", "GOP/s int8"), ("f32_gflop_s", "GFLOP/s f32")):
        if ceilings.get(name):
            parts.append(f"{ceilings[name]:.0f} {unit}")
    return "Ceilings: " + "; ".join(parts) + "." if parts else ""


def model_table(model, results, ceilings, model_bytes):
    lines = [f"## {model} ({model_bytes / 1e6:.0f} MB)", ""]
    if line := facts(ceilings, results):
        lines += [line, ""]
    lines += ["| cell | headrace tok/s | llama.cpp tok/s | ratio | 95 % | rounds (discarded) | share of ceiling, ours and "
              "peer's | llama.cpp as |", "|---|---|---|---|---|---|---|---|"]
    lines += [row(result, ceilings, model_bytes) for result in results]
    others = max((r.others for result in results for r in result.rounds), default=0)
    if others > BUSY:
        lines += ["", f"Other programs kept up to {others:.1f} processors busy meanwhile: these figures can't be relied on."]
    for result in results:
        times = [r.seconds for r in result.rounds if {"A", "B"} <= r.seconds.keys()]
        if times and result.cell.kind == "shared":
            lines += ["", f"{result.cell.name}, prompt and decode together: {median(t['A'] for t in times):.2f} s and "
                          f"{median(t['B'] for t in times):.2f} s."]
        if result.failure:
            lines += ["", f"{result.cell.name} failed: {result.failure}"]
    return "\n".join(lines)


def legend(cells, drift):
    kept = f"a round in which the read stream over 1 GiB moved by more than {drift * 100:g} % is discarded and counted" \
        if drift < 1 else "no round is discarded, however the read stream moved"
    return "\n".join([
        "Speeds are medians over rounds A B B A (A = headrace, B = llama.cpp), two runs of each in a round; the ratio "
        "is the median of the rounds' ratios, above 1 where headrace is faster, with a 95 % interval (bootstrap over "
        f"rounds); {kept}.", "", *(f"- {cell.name}: {WHAT[cell.name]}" for cell in cells)])
