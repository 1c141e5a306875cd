"""Rounds that an earlier run has left in raw.jsonl: a table that takes hours goes on where it was ended."""
import json
from pathlib import Path

from .programs import Failure
from .rounds import Round


class EarlierRounds:
    def __init__(self):
        self.rounds = {}     # {(model, cell): [Round]}, kept ones
        self.discarded = {}  # {(model, cell): number}
        self.peers = {}      # {(model, kind): name}, the last that was picked

    @staticmethod
    def read(path, processor, threads):
        """Fails where the file's figures are not to be put beside ours."""
        earlier = EarlierRounds()
        if not path.exists():
            return earlier
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                fields = json.loads(line)
                earlier.add(fields, path, processor, threads)
            except (ValueError, KeyError, TypeError) as error:
                raise Failure(f"{path}:{number}: not a line of ours ({error!r}); give another --out") from error
        return earlier

    def add(self, fields, path, processor, threads):
        if fields["event"] == "begin":
            if (found := (fields["processor"], fields["threads"])) != (processor, threads):
                raise Failure(f"{path} was measured on {found[0]} with {found[1]} threads, this is {processor} with "
                              f"{threads}; give another --out")
        elif fields["event"] == "picked":
            self.peers[Path(fields["model"]).name, fields["kind"]] = fields["peer"]
        elif fields["event"] == "round":
            key = Path(fields["model"]).name, fields["cell"]
            if not fields["kept"]:
                self.discarded[key] = self.discarded.get(key, 0) + 1
                return
            stream = tuple((b + a) / 2 for b, a in zip(fields["stream_before"], fields["stream_after"]))
            self.rounds.setdefault(key, []).append(
                Round(fields["ours"], fields["peer"], stream, fields["others"], fields.get("seconds", {})))

    def give(self, model, result):
        key = Path(model).name, result.cell.name
        result.rounds.extend(self.rounds.get(key, []))
        result.discarded += self.discarded.get(key, 0)
        result.peer = self.peers.get((key[0], result.cell.kind), "")
