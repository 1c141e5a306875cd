"""Rounds A B B A, A = headrace, B = llama.cpp, with the read stream measured before and after each."""
from dataclasses import dataclass, field

from .cells import TRIALS
from .load import OthersLoad
from .programs import Failure, Peer, read_stream

ORDER = "ABBA"
ATTEMPTS_PER_ROUND = 3  # a machine that is never steady must not keep us for ever
BUSY = 0.1  # processors: more than a system's own housekeeping


@dataclass
class Round:
    ours: float    # mean of the two runs, tokens per second
    peer: float
    stream: tuple  # GB/s over 1 GiB and over 64 MiB, means of before and after
    others: float  # processors that other programs kept busy meanwhile
    seconds: dict  # whole time of a run where the programs say it: {"A": s, "B": s}

    @property
    def ratio(self):
        return self.ours / self.peer


@dataclass
class CellResult:
    cell: object
    peer: str = ""
    rounds: list = field(default_factory=list)
    discarded: int = 0
    failure: str = ""


class Bench:
    def __init__(self, ours, builds, stream_program, threads, record, options, turn):
        self.ours = ours
        self.builds = builds
        self.stream_program = stream_program
        self.threads = threads
        self.record = record    # called with each measurement as a dictionary
        self.n_rounds = options.rounds
        self.drift = options.drift
        self.turn = turn        # to hold while something is measured
        self.picked = {}        # {(model, kind): Peer}

    def pick_peer(self, model, cell):
        """The build and variant of the peer that is fastest for this model and kind of cell; all are tried."""
        key = (model, cell.kind)
        if key in self.picked:
            return self.picked[key]
        trial = TRIALS[cell.kind]
        speeds = {}
        failures = []
        for compiler, folder in self.builds.items():
            for variant in cell.variants:
                peer = Peer(folder, compiler, variant, self.threads)
                try:
                    with self.turn:
                        speeds[peer], fields = peer.measure(model, trial)
                except Failure as failure:
                    failures.append(f"{peer}: {failure}")
                    continue
                self.record(event="trial", model=model, cell=trial.name, kind=cell.kind, peer=str(peer),
                            tokens_per_s=speeds[peer], fields=fields)
        if not speeds:
            raise Failure("llama.cpp fails with every build and variant; the first: " + failures[0])
        best = max(speeds, key=speeds.get)
        figures = ", ".join(f"{peer} {speed:.1f}" for peer, speed in sorted(speeds.items(), key=lambda p: -p[1]))
        say(f"  {cell.kind}: llama.cpp is best as {best} ({trial.name}, tok/s: {figures})")
        for failure in failures:
            say(f"  {cell.kind}: {failure}")
        self.record(event="picked", model=model, kind=cell.kind, peer=str(best), failures=failures)
        self.picked[key] = best
        return best

    def stream(self):
        return read_stream(self.stream_program, self.threads)

    def one_round(self, model, cell, peer, number):
        """(Round, how far the stream moved)."""
        others = OthersLoad()
        before = self.stream()
        speeds = {"A": [], "B": []}
        seconds = {}
        for place, who in enumerate(ORDER):
            program = self.ours if who == "A" else peer
            speed, fields = program.measure(model, cell)
            speeds[who].append(speed)
            if "t" in fields:
                seconds.setdefault(who, []).append(fields["t"])
            self.record(event="run", model=model, cell=cell.name, round=number, place=place, program=program.name,
                        variant=str(peer) if who == "B" else "", tokens_per_s=speed, fields=fields)
        after = self.stream()
        moved = abs(after[0] - before[0]) / before[0]
        stream = tuple((b + a) / 2 for b, a in zip(before, after))
        one = Round(sum(speeds["A"]) / 2, sum(speeds["B"]) / 2, stream, others.processors(),
                    {who: sum(times) / len(times) for who, times in seconds.items()})
        self.record(event="round", model=model, cell=cell.name, round=number, ours=one.ours, peer=one.peer,
                    ratio=one.ratio, stream_before=before, stream_after=after, moved=moved,
                    others=one.others, seconds=one.seconds, kept=moved <= self.drift)
        return one, moved

    def measure_cell(self, model, cell, result):
        """Fills `result` round by round, so that what is measured is there whatever ends it."""
        if len(result.rounds) >= self.n_rounds:
            say(f"  {cell.name}: has its {len(result.rounds)} rounds")
            return
        try:
            peer = self.pick_peer(model, cell)
            result.peer = str(peer)
            for attempt in range(ATTEMPTS_PER_ROUND * self.n_rounds):
                if len(result.rounds) >= self.n_rounds:
                    break
                with self.turn:
                    one, moved = self.one_round(model, cell, peer, attempt + 1)
                kept = moved <= self.drift
                if kept:
                    result.rounds.append(one)
                else:
                    result.discarded += 1
                say(f"  {cell.name} round {attempt + 1}: {one.ours:.1f} and {one.peer:.1f} tok/s, ratio {one.ratio:.2f},"
                    f" read stream {one.stream[0]:.1f} GB/s moved by {moved:.1%}"
                    f"{busy(one.others)}{'' if kept else ': discarded'}")
        except Failure as failure:
            result.failure = str(failure)
            self.record(event="failed", model=model, cell=cell.name, message=str(failure))
            say(f"  {cell.name} failed: {failure}")


def busy(processors):
    return f", others kept {processors:.1f} processors busy" if processors > BUSY else ""


def say(text):
    print(text, flush=True)
