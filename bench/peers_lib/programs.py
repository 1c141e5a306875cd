"""Runs the programs that are measured, and reads the JSON lines that they print."""
import json
import os
import subprocess


class Failure(Exception):
    """Something went wrong; the message says what, and what the program said about it."""


STDERR_LINES = 12
PATIENCE_S = 2 * 3600


def tail(text, lines=STDERR_LINES):
    return "\n".join("    " + line for line in text.strip().splitlines()[-lines:])


def run(command, patience_s=PATIENCE_S, environment=None):
    """The standard output of `command`. Fails with the end of its standard error."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=patience_s,
                              env={**os.environ, **(environment or {})}, check=False)
    except FileNotFoundError as error:
        raise Failure(f"{command[0]}: no such program") from error
    except OSError as error:
        raise Failure(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{' '.join(command)}: not done after {patience_s} s") from error
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        said = done.stderr.strip() or done.stdout
        raise Failure(f"{' '.join(command)}: {how}; it said\n{tail(said)}")
    return done.stdout


def json_lines(command, environment=None, attempts=1):
    """The JSON objects that `command` prints, one a line, other lines left out. At least one.

    A program that ends well and prints none is run again, `attempts` times in all.
    """
    command = [str(word) for word in command]
    for _ in range(attempts):
        lines = [line for line in run(command, environment=environment).splitlines() if line.lstrip().startswith("{")]
        try:
            objects = [json.loads(line) for line in lines]
        except ValueError as error:
            raise Failure(f"{' '.join(command)}: this is no JSON ({error}): {lines[0][:200]}") from error
        if objects:
            return objects
    raise Failure(f"{' '.join(command)}: printed no JSON")


def value(fields, name, command):
    """A speed among the fields of a line."""
    found = fields.get(name)
    if not isinstance(found, (int, float)) or found <= 0:
        raise Failure(f"{' '.join(map(str, command))}: {name} should be a speed and is {found!r}")
    return float(found)


class Ours:
    """headrace bench."""

    name = "headrace"
    # Measured once a model instead of before each cell; as an environment variable it holds for all tests.
    environment = {"HEADRACE_NO_CEILINGS": "1"}

    def __init__(self, program, threads):
        self.program = program
        self.threads = threads

    def measure(self, model, cell):
        """(tokens per second, all fields)."""
        batched = ["--batched"] if cell.batched else []
        repetitions = [] if cell.batched else ["-r", 1]
        numerics = ["--numerics", cell.numerics] if cell.numerics else []
        command = [self.program, "bench", *batched, "-m", model, *cell.flags, *repetitions, *numerics, "-t", self.threads,
                   "-o", "jsonl"]
        fields = json_lines(command, self.environment)[-1]
        return value(fields, cell.field, command), fields

    def ceilings(self, model):
        """What the machine could do at best, and what a token reads, as far as our program says it."""
        return json_lines([self.program, "bench", "-m", model, "-p", 16, "-n", 0, "-r", 1, "-t", self.threads,
                           "-o", "jsonl"])[-1]


class Peer:
    """llama-bench and llama-batched-bench of one build, with the flags of one variant."""

    name = "llama.cpp"

    def __init__(self, folder, compiler, variant, threads):
        self.folder = folder
        self.compiler = compiler
        self.variant = variant
        self.threads = threads

    def __str__(self):
        return " ".join([self.compiler, *self.variant])

    def measure(self, model, cell):
        common = ["-m", model, *cell.flags, *self.variant, "-t", self.threads]
        if cell.batched:
            command = [self.folder / "llama-batched-bench", *common, "-c", cell.context("-kvu" in self.variant),
                       "--output-format", "jsonl"]
        else:
            command = [self.folder / "llama-bench", *common, "-r", 1, "-o", "jsonl"]
        # llama-batched-bench prints by a thread that it does not wait for: on a busy machine the line is lost now
        # and then.
        fields = json_lines(command, attempts=5 if cell.batched else 1)[-1]
        return value(fields, cell.field, command), fields


def read_stream(program, threads):
    """(GB/s over 1 GiB, over 64 MiB) at this moment."""
    command = [program, threads]
    fields = json_lines(command)[-1]
    return value(fields, "read_1gib_gb_s", command), value(fields, "read_64mib_gb_s", command)
