"""What is measured: the cells of the table, and the models."""
from dataclasses import dataclass, replace

from .programs import Failure, run

FLASH = (("-fa", "on"), ("-fa", "off"))
# One cache for all sequences, or one for each: which is faster depends on the prompt that they share.
FLASH_AND_CACHE = tuple((*flash, cache) for flash in FLASH for cache in ("-kvu", "-no-kvu"))


@dataclass(frozen=True)
class Cell:
    """A test in the flags that llama-bench (or llama-batched-bench) and headrace bench have in common."""

    name: str
    kind: str     # cells of a kind share the pre-run that picks the peer's build and variant
    bound: str    # what bounds it: "stream", "ints", or "" where it is neither alone
    flags: tuple
    batched: bool = False
    numerics: str = ""  # level of our side where it is not the default

    @property
    def field(self):
        return "speed_tg" if self.batched else "avg_ts"

    @property
    def variants(self):
        return FLASH_AND_CACHE if self.batched else FLASH

    def context(self, unified):
        """llama-batched-bench leaves out, without a word, what its context is too small for."""
        numbers = dict(zip(self.flags[::2], self.flags[1::2]))
        prompt, answer, sequences = (int(numbers[flag]) for flag in ("-npp", "-ntg", "-npl"))
        if unified and "-pps" in self.flags:
            return padded(prompt + sequences * answer)
        return sequences * padded(prompt + answer)


def levels(cell, ceilings):
    """Prompts with BF16 weights are compared in level `machine`, too."""
    if cell.kind == "pp" and "BF16" in ceilings.get("model_type", ""):
        return [replace(cell, name=f"{cell.name} machine", numerics="machine"), cell]
    return [cell]


def padded(tokens):
    """llama.cpp's caches have a multiple of 256 tokens."""
    return (tokens + 255) // 256 * 256


def batch(prompt, answer, sequences, *more):
    return ("-npp", str(prompt), "-ntg", str(answer), "-npl", str(sequences), *more)


def speed(prompt, answer, *more):
    return ("-p", str(prompt), "-n", str(answer), *more)


CELLS = {cell.name: cell for cell in (
    Cell("pp512", "pp", "ints", speed(512, 0)),
    Cell("pp2048", "pp", "ints", speed(2048, 0)),
    Cell("tg128", "tg", "stream", speed(0, 128)),
    Cell("tg128@d4096", "depth", "", speed(0, 128, "-d", "4096")),
    Cell("batch8", "batch", "", batch(64, 64, 8), batched=True),
    Cell("batch32", "batch", "", batch(64, 64, 32), batched=True),
    Cell("shared32", "shared", "", batch(1500, 64, 32, "-pps"), batched=True),
)}

WHAT = {
    "pp512": "a prompt of 512 tokens",
    "pp2048": "a prompt of 2,048 tokens",
    "tg128": "128 tokens, one at a time",
    "tg128@d4096": "the same behind 4,096 tokens",
    "batch8": "8 sequences at once, 64 + 64 tokens each: decode",
    "batch32": "32 sequences at once, 64 + 64 tokens each: decode",
    "shared32": "32 sequences that share a prompt of 1,500 tokens, 64 tokens each: decode",
}

# Short cells of each kind, in which the peer's builds and variants are compared.
TRIALS = {cell.kind: cell for cell in (
    Cell("pp256", "pp", "", speed(256, 0)),
    Cell("tg32", "tg", "", speed(0, 32)),
    Cell("tg16@d1024", "depth", "", speed(0, 16, "-d", "1024")),
    Cell("batch8 short", "batch", "", batch(32, 16, 8), batched=True),
    Cell("shared32 short", "shared", "", batch(512, 8, 32, "-pps"), batched=True),
)}

PULLED = {"smollm2-135m-q4_1": "smollm2:135m", "gemma3-270m-q4_k_m": "gemma3:270m"}
RANDOM = {f"random-1b-{name.lower()}": name for name in ("Q8_0", "Q4_K", "Q4_0", "BF16")}
MODELS = [*PULLED, *RANDOM]


def chosen(names, known, what):
    """The comma-separated `names`, each one of `known`."""
    out = [name.strip() for name in names.split(",") if name.strip()]
    for name in out:
        if name not in known:
            raise Failure(f"--{what}: there is no '{name}'; expected some of {','.join(known)}")
    if not out:
        raise Failure(f"--{what}: names nothing; expected some of {','.join(known)}")
    return out


def model_path(name, headrace, maker, cache, threads):
    """The file of a model, fetched or made where it is missing. `name` may be a path."""
    if name in PULLED:
        return run([headrace, "pull", "--quiet", PULLED[name]]).strip()
    if name not in RANDOM:
        return name
    path = cache / "models" / f"{name}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"making {path}", flush=True)
        run([maker, path, "--type", RANDOM[name], "--threads", threads])
    return str(path)
