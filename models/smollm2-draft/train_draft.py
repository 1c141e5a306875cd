#!/usr/bin/env python3
"""Trains a small draft model for speculative decoding of a larger Llama model, by distillation.

The draft shares the target's vocabulary and chat template. It learns two kinds of text, always with the target's full
distribution over the next token as the label (computed while training, never stored):

  answers        what the target itself answers to many prompts, greedily and with some temperature
  conversations  ShareGPT conversations in the target's chat template

The target is read from a GGUF file and dequantised, so the teacher is the quantised model that will be served.

Steps, each a subcommand; `--help` after it lists its options. All files live in one folder, --work:

  prepare   tokenise ShareGPT, make the prompts          -> data.npz          CPU, minutes
  answers   let the target answer the prompts            -> answers.npz       GPU, minutes (--seconds)
  train     distil                                       -> draft.pt, curve.csv  GPU, minutes (--seconds)
  export    write the draft with Q8_0 matrices           -> OUTPUT.gguf       CPU, seconds
  evaluate  acceptance of the exported draft on held-out answers              CPU, a minute

    pip install torch numpy gguf tokenizers
    python3 train_draft.py prepare --target target.gguf --sharegpt sharegpt.json --exclude benchmark.jsonl
    python3 train_draft.py answers --target target.gguf --seconds 300
    python3 train_draft.py train --target target.gguf --seconds 600
    python3 train_draft.py export --target target.gguf --output draft.gguf
    python3 train_draft.py evaluate --target draft.gguf

`train` saves a checkpoint now and then and goes on from it when started again. Everything also runs without a GPU,
only far more slowly; try it there with small numbers (--seconds 60 --batch-tokens 1024 --rows 8).

Layout: in GGUF files of architecture "llama" the rows of the query and key matrices are ordered for rotary embeddings
of neighbouring pairs. Target and draft both rotate neighbouring pairs here, so nothing has to be reordered.
"""

import argparse
import csv
import json
import math
import random
import re
import time
from pathlib import Path

import gguf
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TEACHER_DTYPE = torch.float16 if DEVICE == "cuda" else torch.float32
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
BUCKET = 128  # rows are padded to a multiple of this
ROW_TOKENS = 1024  # longest row that is trained on
LOSS_ROWS = 2048 if DEVICE == "cuda" else 128  # positions whose logits are in memory at once


# ---------------------------------------------------------------------------------------------------------------------
# Target file


class Target:
    """A GGUF file: its metadata, its tokenizer and its dequantised tensors."""

    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)

    def field(self, key):
        """The value of a metadata key."""
        return self.reader.fields[key].contents()

    def shape(self):
        """The shape of the model, as the arguments of Llama."""
        heads = self.field("llama.attention.head_count")
        return {
            "vocab": self.field("llama.vocab_size"),
            "width": self.field("llama.embedding_length"),
            "layers": self.field("llama.block_count"),
            "heads": heads,
            "kv_heads": self.field("llama.attention.head_count_kv"),
            "ffn": self.field("llama.feed_forward_length"),
            "theta": self.field("llama.rope.freq_base"),
            "eps": self.field("llama.attention.layer_norm_rms_epsilon"),
        }

    def tensors(self):
        """All tensors as float32, by name."""
        return {
            t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32))
            for t in self.reader.tensors
        }

    def model(self):
        """The target as a frozen teacher."""
        model = Llama(**self.shape())
        model.load_state_dict(from_gguf_names(self.tensors()))
        return model.to(DEVICE, TEACHER_DTYPE).eval().requires_grad_(False)

    def tokenizer(self):
        """The byte-level BPE tokenizer; special tokens are not recognised in text, callers insert their numbers."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        vocab = {token: i for i, token in enumerate(self.field("tokenizer.ggml.tokens"))}
        merges = [tuple(merge.split(" ")) for merge in self.field("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(models.BPE(vocab, merges))
        digits, bytes_ = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer


GGUF_NAMES = {
    "token_embd": "embed",
    "output_norm": "norm",
    "attn_norm": "attn_norm",
    "attn_q": "q",
    "attn_k": "k",
    "attn_v": "v",
    "attn_output": "o",
    "ffn_norm": "ffn_norm",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
}


def from_gguf_names(tensors):
    """A state dict of Llama from tensors named as in GGUF."""
    state = {}
    for name, tensor in tensors.items():
        parts = name.split(".")
        parts[-2] = GGUF_NAMES[parts[-2]]
        state[".".join(parts).replace("blk.", "blocks.")] = tensor
    return state


def to_gguf_name(name):
    """The name in GGUF of an entry of Llama's state dict."""
    back = {ours: theirs for theirs, ours in GGUF_NAMES.items()}
    parts = name.split(".")
    parts[-2] = back[parts[-2]]
    return ".".join(parts).replace("blocks.", "blk.")


# ---------------------------------------------------------------------------------------------------------------------
# Model


def rope_table(length, head_dim, theta, device):
    """Cosines and sines of shape [length, head_dim / 2]."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
    angles = torch.arange(length, device=device, dtype=torch.float32)[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Rotates neighbouring pairs of the last dimension of x."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).type_as(x)


class Norm(nn.Module):
    """RMS norm."""

    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        """Scales the last dimension to a root mean square of one, then by the weights."""
        return F.rms_norm(x, self.weight.shape, self.weight.type_as(x), self.eps)


class Block(nn.Module):
    """One layer: attention with grouped heads, then a gated feed-forward part."""

    def __init__(self, width, heads, kv_heads, ffn, eps):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, width // heads
        self.attn_norm, self.ffn_norm = Norm(width, eps), Norm(width, eps)
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, kv_heads * self.head_dim, bias=False)
        self.v = nn.Linear(width, kv_heads * self.head_dim, bias=False)
        self.o = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, ffn, bias=False)
        self.up = nn.Linear(width, ffn, bias=False)
        self.down = nn.Linear(ffn, width, bias=False)

    def project(self, x, cos, sin):
        """Queries, keys and values of x [rows, tokens, width], each [rows, heads, tokens, head_dim]."""
        rows, tokens, _ = x.shape
        x = self.attn_norm(x)
        q = self.q(x).view(rows, tokens, self.heads, self.head_dim).transpose(1, 2)
        k = self.k(x).view(rows, tokens, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v(x).view(rows, tokens, self.kv_heads, self.head_dim).transpose(1, 2)
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def finish(self, x, attended):
        """The rest of the layer, from what attention found."""
        x = x + self.o(attended.transpose(1, 2).reshape(x.shape))
        y = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))

    def forward(self, x, cos, sin, cache=None):
        """A whole text; cache, if given, is filled from its start."""
        q, k, v = self.project(x, cos, sin)
        if cache is not None:
            cache[0][:, :, : k.shape[2]], cache[1][:, :, : v.shape[2]] = k, v
        return self.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))

    def step(self, x, cos, sin, cache, positions, visible):
        """One more token per row, at positions; visible [rows, 1, 1, tokens] masks what is not yet written."""
        q, k, v = self.project(x, cos, sin)
        rows = torch.arange(x.shape[0], device=x.device)
        keys, values = cache
        keys[rows, :, positions], values[rows, :, positions] = k[:, :, 0], v[:, :, 0]
        keys, values = keys[:, :, : visible.shape[-1]], values[:, :, : visible.shape[-1]]
        q = q.view(x.shape[0], self.kv_heads, -1, self.head_dim) * self.head_dim**-0.5
        weights = (q @ keys.transpose(2, 3)).masked_fill(~visible, -math.inf).softmax(-1)
        return self.finish(x, (weights @ values).view(x.shape[0], self.heads, 1, self.head_dim))


class Llama(nn.Module):
    """A Llama model with tied embeddings; returns hidden states, `logits` turns them into logits."""

    def __init__(self, vocab, width, layers, heads, kv_heads, ffn, theta, eps):
        super().__init__()
        self.head_dim, self.theta, self.kv_heads = width // heads, theta, kv_heads
        self.embed = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(Block(width, heads, kv_heads, ffn, eps) for _ in range(layers))
        self.norm = Norm(width, eps)

    def forward(self, ids, caches=None):
        """Hidden states of whole texts [rows, tokens]."""
        cos, sin = rope_table(ids.shape[1], self.head_dim, self.theta, ids.device)
        x = self.embed(ids)
        for i, block in enumerate(self.blocks):
            x = block(x, cos, sin, caches and caches[i])
        return self.norm(x)

    def step(self, ids, caches, positions, tokens):
        """Hidden states of one more token per row; no row is longer than tokens."""
        cos, sin = (t[positions][:, None, None] for t in rope_table(tokens, self.head_dim, self.theta, ids.device))
        visible = (torch.arange(tokens, device=ids.device) <= positions[:, None])[:, None, None]
        x = self.embed(ids[:, None])
        for block, cache in zip(self.blocks, caches):
            x = block.step(x, cos, sin, cache, positions, visible)
        return self.norm(x[:, 0])

    def logits(self, hidden):
        """Logits of the next token."""
        return hidden @ self.embed.weight.T


# ---------------------------------------------------------------------------------------------------------------------
# Rows of tokens


class Rows:
    """Many token lists in one array, each with the first position that counts for the loss."""

    def __init__(self, tokens, offsets, starts):
        self.tokens, self.offsets, self.starts = tokens, offsets, starts

    @classmethod
    def pack(cls, lists, starts):
        """From Python lists."""
        offsets = np.concatenate(([0], np.cumsum([len(row) for row in lists]))).astype(np.int64)
        tokens = np.concatenate([np.asarray(row, np.uint16) for row in lists] or [np.zeros(0, np.uint16)])
        return cls(tokens, offsets, np.asarray(starts, np.int32))

    @classmethod
    def load(cls, path, name):
        """From a file that `fields` went into."""
        with np.load(path) as data:
            return cls(*(data[f"{name}_{part}"] for part in ("tokens", "offsets", "starts")))

    def fields(self, name):
        """What np.savez shall store."""
        return {f"{name}_tokens": self.tokens, f"{name}_offsets": self.offsets, f"{name}_starts": self.starts}

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, i):
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]

    def lengths(self):
        """Number of tokens of each row."""
        return np.diff(self.offsets)

    def batch(self, chosen):
        """The chosen rows, padded on the right, and the flat positions whose next token counts."""
        longest = int(self.lengths()[chosen].max())
        width = -(-longest // BUCKET) * BUCKET
        ids, counts = np.zeros((len(chosen), width), np.int64), np.zeros((len(chosen), width), bool)
        for j, i in enumerate(chosen):
            row = self[i]
            ids[j, : len(row)] = row
            counts[j, self.starts[i] - 1 : len(row) - 1] = True
        return ids, np.flatnonzero(counts)

    def batches(self, batch_tokens, rng):
        """Endless batches of rows of like length, of at most batch_tokens with the padding."""
        widths = -(-self.lengths() // BUCKET) * BUCKET
        waiting = {}
        while True:
            for i in rng.permutation(len(self)):
                bucket = waiting.setdefault(widths[i], [])
                bucket.append(i)
                if (len(bucket) + 1) * widths[i] > batch_tokens:
                    yield self.batch(np.asarray(bucket))
                    bucket.clear()


# ---------------------------------------------------------------------------------------------------------------------
# prepare


PASSAGE_TASKS = [
    "Summarize: {passage}",
    "Summarize the following text in a few sentences.\n\n{passage}",
    "{passage}\n\nQuestion: What does the text say about {name}?",
    "Answer the question using the passages below.\n\n{passage}\n\nQuestion: Who or what is {name}?\nAnswer:",
    "Rewrite this text in simpler words:\n\n{passage}",
    "Extract the main facts from the text as a list.\n\n{passage}",
]
CODE_TASKS = [
    "Complete this code:\n```\n{code}\n```",
    "{code}",
    "Explain what this code does.\n```\n{code}\n```",
    "Complete the following function. Answer with code only.\n\n{code}",
]
NAME_TASKS = ["Who is {name}?", "What is {name}?", "When was {name}?", "Where is {name}?", "Tell me about {name}."]
SUM_TASKS = [
    "{who} has {a} {things}. {who} buys {b} more and gives {c} to a friend. How many {things} are left?",
    "{who} earns ${a} an hour and works {b} hours a week. How much does {who} earn in {c} weeks?",
    "A box holds {a} {things}. {who} fills {b} boxes and has {c} {things} over. How many {things} are there in all?",
    "{who} reads {a} pages every day for {b} days. The book has {c} pages more. How long is the book?",
    "Each of the {a} shelves in a shop carries {b} {things}. {c}% of them are sold. How many {things} remain?",
    "{who} is {a} years older than {other}. In {b} years {other} will be {c}. How old is {who} now?",
    "{who} and {other} share {a} {things} so that {who} gets {b} more than {other}. How many does {other} get?",
    "{things} cost ${a} each, and {who} gets {c}% off when buying {b} or more. What does {who} pay for {b} {things}?",
]
PEOPLE = ["Anna", "Omar", "Lena", "Victor", "Priya", "Samuel", "Chloe", "Diego", "Ruth", "Kenji", "Maria", "Paul"]
THINGS = ["apples", "books", "pencils", "marbles", "cookies", "tickets", "stickers", "shirts", "eggs", "cards"]


def read_objects(path):
    """The objects of a JSON array, as many as are whole: the file may be cut off."""
    text = Path(path).read_text(encoding="utf-8", errors="ignore")
    decoder, separator = json.JSONDecoder(), re.compile(r"[\s,\[]*")
    at = separator.match(text).end()
    while at < len(text) and text[at] == "{":
        try:
            item, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return
        at = separator.match(text, at).end()
        yield item


def runs(text, length=13):
    """All runs of so many words of a text."""
    words = re.findall(r"\w+", text.lower())
    return {hash(tuple(words[i : i + length])) for i in range(len(words) - length + 1)}


def strings(value):
    """All strings inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def excluded_runs(paths):
    """The word runs of all strings in JSON lines files."""
    found = set()
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            for text in strings(json.loads(line)):
                found |= runs(text)
    return found


def clean_conversations(path, excluded):
    """Conversations as lists of (role, text): begun by the user, roles alternating, mostly ASCII, nothing excluded."""
    roles = {"human": "user", "gpt": "assistant"}
    dropped = 0
    for item in read_objects(path):
        turns = [(roles.get(turn["from"]), turn["value"].strip()) for turn in item["conversations"]]
        expected = ["user", "assistant"] * len(turns)
        whole = 0
        while whole < len(turns) and turns[whole][0] == expected[whole] and turns[whole][1]:
            whole += 1
        turns = turns[: whole // 2 * 2]
        text = "\n".join(text for _, text in turns)
        if not turns or sum(c > "\x7f" for c in text) > 0.1 * len(text):
            continue
        if any(not excluded.isdisjoint(runs(text)) for _, text in turns):
            dropped += 1
            continue
        yield turns
    print(f"conversations dropped for an excluded run of words: {dropped}", flush=True)


def made_prompts(turns, rng):
    """Prompts made of pieces of a conversation: summaries, questions about a text or a name, code to go on with."""
    for role, text in turns:
        if role != "assistant":
            continue
        blocks = [b for b in re.findall(r"```\w*\n(.*?)```", text, re.S) if b.count("\n") > 4]
        if blocks and rng.random() < 0.5:
            lines = rng.choice(blocks).split("\n")
            code = "\n".join(lines[: rng.randint(2, max(3, len(lines) // 2))])[:1200]
            yield rng.choice(CODE_TASKS).format(code=code)
        names = re.findall(r"(?<=[a-z] )[A-Z][a-z]+(?: [A-Z][a-z]+)+", text)
        if not names:
            continue
        name = rng.choice(names)
        if rng.random() < 0.1:
            yield rng.choice(NAME_TASKS).format(name=name)
        if len(text) > 600 and rng.random() < 0.3:
            passage = text[: rng.randint(500, 2400)].rsplit(".", 1)[0] + "."
            yield rng.choice(PASSAGE_TASKS).format(passage=passage, name=name)


def sum_prompts(count, rng):
    """Small arithmetic problems in words."""
    for _ in range(count):
        who, other = rng.sample(PEOPLE, 2)
        numbers = {"a": rng.randint(10, 90), "b": rng.randint(2, 12), "c": rng.choice((5, 10, 20, 25, 30, 40))}
        yield rng.choice(SUM_TASKS).format(who=who, other=other, things=rng.choice(THINGS), **numbers)


class Template:
    """Turns conversations into tokens as the target's chat template does."""

    def __init__(self, target):
        self.encode_batch = target.tokenizer().encode_batch
        self.begin, self.end = target.field("tokenizer.ggml.bos_token_id"), target.field("tokenizer.ggml.eos_token_id")
        encoded = self.encode_batch(["\n", "assistant\n", f"system\n{SYSTEM}"])
        self.newline, self.assistant, system = (e.ids for e in encoded)
        self.system = self.turn(system)

    def turn(self, ids):
        """One turn around the tokens of its role and text."""
        return [self.begin, *ids, self.end, *self.newline]

    def prompts(self, texts):
        """Token lists of first user turns, ready for the answer."""
        for encoded in self.encode_batch([f"user\n{text}" for text in texts]):
            yield [*self.system, *self.turn(encoded.ids), self.begin, *self.assistant]

    def conversation(self, turns):
        """The tokens of a whole conversation."""
        encoded = self.encode_batch([f"{role}\n{text}" for role, text in turns])
        return self.system + [token for e in encoded for token in self.turn(e.ids)]

    def follow_up(self, turns):
        """The tokens of a conversation, ready for one more answer."""
        return [*self.conversation(turns), self.begin, *self.assistant]


def prepare(args):
    """Tokenises conversations and prompts.

    One conversation in 30 is kept out of all training, for measuring; so are other prompts with the same words.
    """
    rng = random.Random(args.seed)
    template = Template(Target(args.target))
    excluded = excluded_runs(args.exclude)
    conversations, tokens, first, other, later, held_out = [], 0, [], [], [], []
    for number, turns in enumerate(clean_conversations(args.sharegpt, excluded)):
        if number % 30 == 0:
            held_out.append(turns[0][1])
            continue
        first.append(turns[0][1])
        other += [text for role, text in turns[2:] if role == "user"][:6]
        other += made_prompts(turns, rng)
        if len(turns) > 2 and len(turns[0][1]) + len(turns[1][1]) < 2400:
            later.append(template.follow_up(turns[:3]))
        if tokens < args.conversation_tokens:
            ids = template.conversation(turns)
            tokens += len(ids)
            conversations += [ids[i : i + ROW_TOKENS] for i in range(0, len(ids), ROW_TOKENS)]
    kept_out = set(held_out)
    first = [text for text in first if text not in kept_out]
    other = [text for text in other if text not in kept_out and excluded.isdisjoint(runs(text))]
    other += sum_prompts(args.sums, rng)
    rng.shuffle(other)
    fields = {}
    limit = ROW_TOKENS - args.answer_tokens
    for name, texts in (("prompts", first + other), ("held_out", held_out)):
        texts = [text for text in dict.fromkeys(texts) if len(text) < 8 * limit]
        rows = list(template.prompts(texts)) + (later if name == "prompts" else [])
        rows = [ids for ids in rows if len(ids) <= limit]
        rng.shuffle(rows)
        fields |= Rows.pack(rows, [len(row) for row in rows]).fields(name)
        print(f"{name}: {len(rows)} of {sum(map(len, rows))} tokens", flush=True)
    conversations = [row for row in conversations if len(row) > 32]
    fields |= Rows.pack(conversations, [1] * len(conversations)).fields("conversations")
    print(f"conversations: {len(conversations)} rows of {sum(map(len, conversations))} tokens")
    args.work.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.work / "data.npz", **fields)


# ---------------------------------------------------------------------------------------------------------------------
# answers


@torch.no_grad()
def generate(model, prompts, temperatures, count, end):
    """Answers of up to count tokens to a list of prompts; temperature 0 is greedy. Returns prompt + answer lists."""
    rows, longest = len(prompts), max(map(len, prompts))
    positions = torch.tensor([len(row) - 1 for row in prompts], device=DEVICE)
    ids = torch.zeros(rows, longest + count, dtype=torch.long)
    for i, row in enumerate(prompts):
        ids[i, : len(row)] = torch.from_numpy(row.astype(np.int64))
    ids = ids.to(DEVICE)
    shape = (2, rows, model.kv_heads, longest + count, model.head_dim)
    caches = [torch.zeros(shape, device=DEVICE, dtype=TEACHER_DTYPE) for _ in model.blocks]
    hidden = []
    for part in torch.arange(rows).split(max(1, 65536 // longest)):
        at = slice(int(part[0]), int(part[-1]) + 1)
        out = model(ids[at, :longest], [cache[:, at] for cache in caches])
        hidden.append(out[torch.arange(len(part)), positions[at]])
    hidden = torch.cat(hidden)
    temperatures = torch.as_tensor(temperatures, device=DEVICE, dtype=torch.float32)[:, None]
    every, done = torch.arange(rows, device=DEVICE), torch.zeros(rows, dtype=torch.bool, device=DEVICE)
    lengths = positions + 1
    for step in range(count):
        logits = model.logits(hidden).float()
        # The largest of logits plus Gumbel noise is a draw from the softmax.
        token = (logits - temperatures * torch.empty_like(logits).exponential_().log_()).argmax(-1)
        positions += 1
        ids[every, positions] = token
        lengths += ~done
        done |= token == end
        if step % 32 == 31 and bool(done.all()) or step == count - 1:
            break
        hidden = model.step(token, caches, positions, longest + step + 1)
    return [row[:length].astype(np.uint16) for row, length in zip(ids.cpu().numpy(), lengths.tolist())]


def answers(args):
    """Answers the held-out prompts greedily, then the others until the time is up, in batches of like length."""
    target = Target(args.target)
    model, end, decode = target.model(), target.field("tokenizer.ggml.eos_token_id"), target.tokenizer().decode
    rng = np.random.default_rng(args.seed)
    begun = time.time()

    def collect(prompts, order, temperatures):
        chosen = [prompts[i] for i in order]
        return generate(model, chosen, temperatures, args.answer_tokens, end), [len(row) for row in chosen]

    fields = {}
    held_out = Rows.load(args.work / "data.npz", "held_out")
    order = np.arange(min(args.held_out, len(held_out)))
    rows, starts = [], []
    for part in np.array_split(order, -(-len(order) // args.rows)):
        more, at = collect(held_out, part, np.zeros(len(part)))
        rows, starts = rows + more, starts + at
    fields |= Rows.pack(rows, starts).fields("held_out")
    print(f"held out: {len(rows)} answers, {time.time() - begun:.0f} s", flush=True)
    for row in rows[:3]:
        print("---", decode(row, skip_special_tokens=False), flush=True)

    prompts = Rows.load(args.work / "data.npz", "prompts")
    rows, starts, number = [], [], 0
    while time.time() - begun < args.seconds:
        # A pass over a random part of the prompts, sorted by length so that a batch wastes little.
        part = rng.permutation(len(prompts))[: 16 * args.rows]
        part = part[np.argsort(prompts.lengths()[part], kind="stable")]
        batches = np.array_split(part, -(-len(part) // args.rows))
        for k in rng.permutation(len(batches)):
            # Long prompts, small batches: the cache has room for so many tokens.
            room = max(1, args.rows * 512 // (int(prompts.lengths()[batches[k]].max()) + args.answer_tokens))
            for piece in np.array_split(batches[k], -(-len(batches[k]) // room)):
                if time.time() - begun > args.seconds:
                    break
                hot = rng.random(len(piece)) > args.greedy
                more, at = collect(prompts, piece, hot * rng.uniform(0.5, 1.0, len(piece)))
                rows, starts, number = rows + more, starts + at, number + 1
        spent = time.time() - begun
        made = sum(map(len, rows)) - sum(starts)
        print(f"{number} batches, {len(rows)} answers, {made} tokens, {spent:.0f} s", flush=True)
    fields |= Rows.pack(rows, starts).fields("answers")
    np.savez(args.work / "answers.npz", **fields)


# ---------------------------------------------------------------------------------------------------------------------
# train


def compare_chunk(student, teacher, counts, hard):
    """From two sets of logits: the gradient of the loss, the summed loss and the number of equal first choices.

    The loss is KL(teacher || student) plus `hard` times the cross-entropy with the teacher's first choice.
    """
    log_s = student.float().log_softmax(-1)
    log_t = teacher.float().log_softmax(-1)
    p_t = log_t.exp()
    best = teacher.argmax(-1, keepdim=True)
    kl = (p_t * (log_t - log_s)).sum(-1)
    ce = -log_s.gather(1, best)[:, 0]
    is_best = torch.arange(student.shape[1], device=student.device) == best
    gradient = ((1 + hard) * log_s.exp() - p_t - hard * is_best) * counts[:, None]
    same = (student.argmax(-1) == best[:, 0]) * counts
    return gradient.type_as(student), ((kl + hard * ce) * counts).sum(), same.sum()


class Distil(torch.autograd.Function):
    """The mean loss over positions without ever holding all logits: gradients are made chunk by chunk on the way."""

    compare = staticmethod(compare_chunk)

    @staticmethod
    def forward(ctx, hidden, weight, teacher_hidden, teacher_weight, hard):
        dtype = torch.bfloat16 if DEVICE == "cuda" else torch.float32
        positions = hidden.shape[0]
        narrow, low = hidden.detach().to(dtype), weight.detach().to(dtype)
        d_hidden, d_weight = torch.zeros_like(hidden), torch.zeros_like(weight)
        loss, same = torch.zeros((), device=DEVICE), torch.zeros((), device=DEVICE)
        for at in range(0, positions, LOSS_ROWS):
            student, teacher = narrow[at : at + LOSS_ROWS], teacher_hidden[at : at + LOSS_ROWS]
            counts = torch.ones(LOSS_ROWS, device=DEVICE)
            missing = LOSS_ROWS - len(student)
            if missing:  # always the same shape, so that a compiled function is compiled once
                counts[-missing:] = 0
                student, teacher = F.pad(student, (0, 0, 0, missing)), F.pad(teacher, (0, 0, 0, missing))
            gradient, part, agreed = Distil.compare(student @ low.T, teacher @ teacher_weight.T, counts, hard)
            loss, same = loss + part, same + agreed
            d_hidden[at : at + LOSS_ROWS] = (gradient @ low)[: LOSS_ROWS - missing]
            d_weight += gradient.T @ student
        ctx.save_for_backward(d_hidden / positions, d_weight / positions)
        loss, same = loss / positions, same / positions
        ctx.mark_non_differentiable(same)
        return loss, same

    @staticmethod
    def backward(ctx, upstream, _):
        d_hidden, d_weight = ctx.saved_tensors
        return upstream * d_hidden, upstream * d_weight, None, None, None


def new_draft(args, target, teacher):
    """A fresh draft: its embeddings are the target's principal components."""
    shape = target.shape() | {
        "width": args.width,
        "layers": args.layers,
        "heads": args.heads,
        "kv_heads": args.kv_heads,
        "ffn": args.ffn,
    }
    draft = Llama(**shape)
    for name, weight in draft.named_parameters():
        if weight.dim() == 2:
            nn.init.normal_(weight, std=args.width**-0.5)
            if name.endswith(("o.weight", "down.weight")):
                weight.data *= (2 * args.layers) ** -0.5
    big = teacher.embed.weight.float()
    centred = big - big.mean(0)
    _, components = torch.linalg.eigh(centred.T @ centred)
    draft.embed.weight.data = (centred @ components[:, -args.width :]).cpu()
    return shape, draft.to(DEVICE)


@torch.no_grad()
def find_hits(draft, rows):
    """For each answer, at which tokens the draft's first choice is the token."""
    hits = [None] * len(rows)
    for part in np.array_split(np.argsort(rows.lengths(), kind="stable"), max(1, len(rows) // 64)):
        ids, places = rows.batch(part)
        flat = torch.from_numpy(ids).to(DEVICE)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
            hidden = draft(flat).flatten(0, 1)[torch.from_numpy(places).to(DEVICE)]
            guesses = torch.cat([draft.logits(piece).argmax(-1) for piece in hidden.split(4096)]).cpu().numpy()
        same = guesses == ids.flatten()[places + 1]
        ends = np.cumsum(rows.lengths()[part] - rows.starts[part])
        for i, hit in zip(part, np.split(same, ends[:-1])):
            hits[i] = hit
    return hits


def accepted_length(hits, drafted):
    """Mean number of accepted tokens when each answer is walked as a decoder would, `drafted` tokens a step."""
    accepted, steps = 0, 0
    for hit in hits:
        at = 0
        while at < len(hit):
            run = hit[at : at + drafted]
            good = len(run) if run.all() else int(run.argmin())
            accepted, steps, at = accepted + good, steps + 1, at + good + 1
    return accepted / max(steps, 1)


def optimisers(args, draft):
    """AdamW for embeddings and norms; AdamW or Muon for the matrices of the layers."""
    matrices = [p for p in draft.blocks.parameters() if p.dim() == 2]
    norms = [p for p in draft.parameters() if p.dim() == 1]
    settings = {"betas": (0.9, 0.95), "fused": DEVICE == "cuda"}
    groups = [
        {"params": [draft.embed.weight], "lr": args.embed_lr, "weight_decay": 0.0},
        {"params": norms, "lr": args.lr, "weight_decay": 0.0},
    ]
    if args.optimizer == "adamw":
        groups.append({"params": matrices, "lr": args.lr, "weight_decay": 0.1})
        made = [torch.optim.AdamW(groups, **settings)]
    else:
        muon = torch.optim.Muon(matrices, lr=args.lr, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
        made = [torch.optim.AdamW(groups, **settings), muon]
    for optimiser in made:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return made


def train(args):
    """Distils until the time is up. The learning rate and the mix of texts follow the share of time spent."""
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    target = Target(args.target)
    teacher = target.model()
    own, held_out = (Rows.load(args.work / "answers.npz", name) for name in ("answers", "held_out"))
    foreign = Rows.load(args.work / "data.npz", "conversations")
    path, curve = args.work / f"{args.name}.pt", args.work / f"{args.name}.csv"
    shape, draft = new_draft(args, target, teacher)
    made = optimisers(args, draft)
    step, tokens, spent = 0, 0, 0.0
    if path.exists():
        saved = torch.load(path, map_location=DEVICE)
        draft.load_state_dict(saved["model"])
        for optimiser, state in zip(made, saved["optimisers"]):
            optimiser.load_state_dict(state)
        step, tokens, spent = saved["step"], saved["tokens"], saved["spent"]
        print(f"going on at step {step}, {spent:.0f} s", flush=True)
    else:
        with curve.open("w", newline="") as file:
            names = ["step", "tokens", "loss", "train_acceptance", "heldout_acceptance", "accepted_of_4"]
            csv.writer(file).writerow(names)
    if DEVICE == "cuda":
        Distil.compare = staticmethod(torch.compile(compare_chunk))
    rng = np.random.default_rng(args.seed + step)
    own_batches, foreign_batches = own.batches(args.batch_tokens, rng), foreign.batches(args.batch_tokens, rng)
    weights = sum(p.numel() for p in draft.parameters())
    print(f"{weights} weights, {len(own)} answers of {len(own.tokens)} tokens with prompts", flush=True)

    def save():
        state = {"shape": shape, "model": draft.state_dict(), "optimisers": [o.state_dict() for o in made]}
        torch.save(state | {"step": step, "tokens": tokens, "spent": spent}, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def log():
        hits = find_hits(draft, held_out)
        acceptance, length = np.concatenate(hits).mean(), accepted_length(hits, 4)
        mean, train_same = (float(x) / max(counted, 1) for x in (loss_sum, same_sum))
        row = [step, tokens, f"{mean:.4f}", f"{train_same:.4f}", f"{acceptance:.4f}", f"{length:.3f}"]
        with curve.open("a", newline="") as file:
            csv.writer(file).writerow(row)
        print(f"{spent:5.0f} s", *row, flush=True)

    loss_sum, same_sum, counted = torch.zeros((), device=DEVICE), torch.zeros((), device=DEVICE), 0
    clock, saved_at, logged_at = time.time(), spent, spent
    while spent < args.seconds:
        progress = spent / args.seconds
        rate = min(1, progress / 0.02 + 1e-3) * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)
        for optimiser in made:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate
        mine = rng.random() >= args.conversations * (1 - progress)
        ids, places = next(own_batches if mine else foreign_batches)
        ids, places = torch.from_numpy(ids).to(DEVICE), torch.from_numpy(places).to(DEVICE)
        with torch.no_grad():
            teacher_hidden = teacher(ids).flatten(0, 1)[places]
        with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
            hidden = draft(ids).flatten(0, 1)[places]
        loss, same = Distil.apply(hidden.float(), draft.embed.weight, teacher_hidden, teacher.embed.weight, args.hard)
        loss.backward()
        nn.utils.clip_grad_norm_(draft.parameters(), 1.0)
        for optimiser in made:
            optimiser.step()
            optimiser.zero_grad()
        step, tokens, counted = step + 1, tokens + len(places), counted + 1
        loss_sum, same_sum = loss_sum + loss.detach(), same_sum + same
        if step % 8 == 0 and DEVICE == "cuda":
            torch.cuda.synchronize()
        spent += time.time() - clock
        clock = time.time()
        if spent - logged_at > args.log_seconds or spent >= args.seconds:
            log()
            loss_sum, same_sum, counted, logged_at = loss_sum * 0, same_sum * 0, 0, spent
        if spent - saved_at > args.save_seconds or spent >= args.seconds:
            save()
            saved_at = spent


# ---------------------------------------------------------------------------------------------------------------------
# export


def export(args):
    """Writes the trained draft as GGUF: matrices Q8_0, norms F32, the tokenizer copied from the target."""
    target = Target(args.target)
    saved = torch.load(args.work / f"{args.name}.pt", map_location="cpu")
    shape = saved["shape"]
    writer = gguf.GGUFWriter(args.output, "llama")
    writer.add_name("SmolLM2 135M Instruct draft")
    writer.add_license("apache-2.0")
    writer.add_vocab_size(shape["vocab"])
    writer.add_context_length(target.field("llama.context_length"))
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_rope_dimension_count(shape["width"] // shape["heads"])
    writer.add_rope_freq_base(shape["theta"])
    writer.add_layer_norm_rms_eps(shape["eps"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for key, field in target.reader.fields.items():
        if key.startswith("tokenizer."):
            sub_type = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type)
    for name, weight in saved["model"].items():
        data = weight.float().numpy()
        if data.ndim == 1:
            writer.add_tensor(to_gguf_name(name), data)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(to_gguf_name(name), gguf.quants.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{args.output}: {Path(args.output).stat().st_size} bytes")


# ---------------------------------------------------------------------------------------------------------------------
# evaluate


def evaluate(args):
    """Prints the greedy acceptance of a draft in GGUF on the held-out greedy answers, by place in the answer."""
    draft = Target(args.target).model().float()
    rows = Rows.load(args.work / "answers.npz", "held_out")
    prompts = Rows.load(args.work / "data.npz", "prompts")
    seen = {prompts[i].tobytes() for i in range(len(prompts))}
    chosen = [i for i, start in enumerate(rows.starts) if rows[i][:start].tobytes() not in seen]
    hits = find_hits(draft, Rows.pack([rows[i] for i in chosen], rows.starts[chosen]))
    print(f"{len(hits)} answers to prompts that were not trained on, {sum(map(len, hits))} tokens")
    edges = [0, 16, 32, 64, 128, 256]
    for low, high in [*zip(edges, edges[1:]), (0, 64), (0, 256)]:
        part = [hit[low:high] for hit in hits if len(hit) > low]
        if not part:
            continue
        lengths = ", ".join(f"{accepted_length(part, k):.2f} of {k}" for k in (2, 4, 8))
        print(f"tokens {low:3} to {high:3}: acceptance {np.concatenate(part).mean():.3f}, accepted {lengths}")


def main():
    """Reads the command line and runs one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(function):
        sub = verbs.add_parser(function.__name__, help=function.__doc__.split("\n", maxsplit=1)[0])
        sub.set_defaults(function=function)
        sub.add_argument("--target", required=True, help="the target's GGUF file (for evaluate: the draft's)")
        sub.add_argument("--work", type=Path, default=Path("draft-work"), help="folder of all files between steps")
        sub.add_argument("--seed", type=int, default=1)
        return sub

    sub = verb(prepare)
    sub.add_argument("--sharegpt", required=True, help="a ShareGPT JSON file; it may be cut off")
    sub.add_argument("--exclude", nargs="*", default=[], help="JSON lines; texts sharing 13 words in a row are dropped")
    sub.add_argument("--conversation-tokens", type=int, default=14_000_000)
    sub.add_argument("--sums", type=int, default=4000, help="number of arithmetic problems")
    sub.add_argument("--answer-tokens", type=int, default=256)
    sub = verb(answers)
    sub.add_argument("--seconds", type=float, default=300)
    sub.add_argument("--answer-tokens", type=int, default=256)
    sub.add_argument("--rows", type=int, default=2048, help="answers made at once, fewer for long prompts")
    sub.add_argument("--greedy", type=float, default=0.6, help="share of greedy answers; others: temperature 0.5 to 1")
    sub.add_argument("--held-out", type=int, default=384, help="number of held-out answers")
    sub = verb(train)
    sub.add_argument("--name", default="draft", help="name of checkpoint and curve")
    sub.add_argument("--seconds", type=float, default=600)
    sub.add_argument("--width", type=int, default=224)
    sub.add_argument("--layers", type=int, default=4)
    sub.add_argument("--heads", type=int, default=7)
    sub.add_argument("--kv-heads", type=int, default=7)
    sub.add_argument("--ffn", type=int, default=544)
    sub.add_argument("--optimizer", choices=("adamw", "muon"), default="muon")
    sub.add_argument("--lr", type=float, default=4e-3)
    sub.add_argument("--embed-lr", type=float, default=3e-3)
    sub.add_argument("--batch-tokens", type=int, default=32768)
    sub.add_argument("--conversations", type=float, default=0.5, help="share of conversations at first; falls to 0")
    sub.add_argument("--hard", type=float, default=0.3, help="weight of the cross-entropy with the first choice")
    sub.add_argument("--log-seconds", type=float, default=20)
    sub.add_argument("--save-seconds", type=float, default=60)
    sub = verb(export)
    sub.add_argument("--name", default="draft", help="name of the checkpoint")
    sub.add_argument("--output", required=True)
    verb(evaluate)
    args = parser.parse_args()
    args.function(args)


if __name__ == "__main__":
    main()
