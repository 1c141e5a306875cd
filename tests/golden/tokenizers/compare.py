"""Compares ids and decoded texts with Hugging Face's tokenizers, from the GGUF file and from a tokenizer.json.

    python3 compare.py build/dev/tests/encode_lines FILE.gguf...     (needs the packages tokenizers, transformers, gguf)

Wants no difference. Three things are ours on purpose and left out: a decoded sequence of bytes that is no UTF-8 becomes
as few U+FFFD as Unicode recommends (ByteFallback writes one a byte); tokens of <|...|> form count as special; and an
added token is decoded as it is spelled (DeepSeek Coder has one for "\u00f6", which ByteLevel takes for a broken byte).
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
import unicodedata

import hugging_face
from lines import lines

SHOWN = 5


def run(driver, model, requests):
    data = "".join(json.dumps(r) + "\n" for r in requests)
    done = subprocess.run([driver, model], input=data, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{model}: {done.stderr or done.returncode}")
    return [json.loads(line) for line in done.stdout.split("\n") if line]


class Differences:
    def __init__(self):
        self.counts = {}

    def check(self, what, text, theirs, ours):
        n = self.counts.setdefault(what, 0)
        if theirs == ours:
            return
        self.counts[what] += 1
        if n < SHOWN:
            at = next((i for i, (a, b) in enumerate(zip(theirs, ours)) if a != b), min(len(theirs), len(ours)))
            print(f"  {what}: {text[:80]!r} at {at}: theirs {theirs[max(0, at - 1):at + 5]!r}, ours {ours[max(0, at - 1):at + 5]!r}")


def random_ids(tokenizer, family, count):
    rng = random.Random(1)
    size = tokenizer.get_vocab_size()
    usable = range(size)
    if family in ("llama", "gemma", "mistral"):  # no broken bytes
        usable = [i for i in usable if not (tokenizer.id_to_token(i) or "").startswith("<0x")]
    return [[rng.choice(usable) for _ in range(rng.randrange(1, 12))] for _ in range(count)]


def compare(driver, model, tokenizer, family, texts):
    answers = run(driver, model, [{"text": t} for t in texts])
    differences = Differences()
    ids = []
    for special in (True, False):
        tokenizer.encode_special_tokens = not special
        key = "special" if special else "plain"
        for text, answer in zip(texts, answers):
            theirs = tokenizer.encode(text).ids
            differences.check(f"ids {key}", text, theirs, answer[key])
            if not special:
                differences.check("untrusted piece", text, theirs, answer["pieces"])
            ids.append(theirs)
    tokenizer.encode_special_tokens = False
    ids += random_ids(tokenizer, family, 2000)
    broken = {i for i in tokenizer.get_added_tokens_decoder() if "\ufffd" in tokenizer.decode([i], skip_special_tokens=False)}
    ids = [i for i in ids if not broken.intersection(i)]
    decoded = run(driver, model, [{"ids": i} for i in ids])
    for sequence, answer in zip(ids, decoded):
        differences.check("decode", str(sequence), tokenizer.decode(sequence, skip_special_tokens=False), answer["text"])
        differences.check("decode, skipped", str(sequence), tokenizer.decode(sequence), answer["skipped"])
        differences.check("streamed", str(sequence), [True], [answer["streams"]])
    if family in ("qwen2", "llama-bpe", "gpt-2"):  # others lack some bytes
        bos = 1 if tokenizer.num_special_tokens_to_add(False) else 0
        added = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
        back = run(driver, model, [{"ids": a["plain"][bos:]} for a in answers])
        for text, answer in zip(texts, back):
            if family != "qwen2":
                differences.check("round trip", text, text, answer["text"])
            elif not any(a in text for a in added):
                differences.check("round trip", text, unicodedata.normalize("NFC", text), answer["text"])
    total = sum(differences.counts.values())
    print(f"{model}: {family}, {len(texts)} texts, {len(ids)} sequences of ids: {total} differences {differences.counts}")
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--count", type=int, default=10000)
    options = parser.parse_args()
    total = 0
    for model in options.models:
        tokenizer, family = hugging_face.from_gguf(model)
        texts = lines(options.count, [t.content for t in tokenizer.get_added_tokens_decoder().values()])
        total += compare(options.driver, model, tokenizer, family, texts)
        variants = ["llama", "mistral"] if family == "llama" else [family]
        for variant in variants:
            hugging_face.pipeline(tokenizer, variant)
            with tempfile.TemporaryDirectory(prefix=os.path.basename(model)) as folder:
                tokenizer.save(os.path.join(folder, "tokenizer.json"))
                total += compare(options.driver, folder, tokenizer, variant, texts)
    raise SystemExit(1 if total else 0)


if __name__ == "__main__":
    main()
