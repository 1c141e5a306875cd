"""Writes the fixtures of golden_test.cpp: a tiny tokenizer of each family, and what Hugging Face's library makes of texts.

    python3 make_golden.py          (needs the packages tokenizers, transformers, gguf)

Each folder FAMILY/ gets a tokenizer.json, trained on a few lines, and cases.jsonl. Runs give the same bytes.
"""

import json
import pathlib

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers

import hugging_face
from lines import CODE, PROSE, lines

HERE = pathlib.Path(__file__).parent
CASES = 150
MERGES = 350
BYTE_LEVEL = ["gpt-2", "smollm", "llama-bpe", "qwen2"]
SENTENCEPIECE = ["llama", "mistral", "gemma"]

# Every way in which a file can say how an added token is to be found.
ODD_TOKENS = [
    AddedToken("<think>", normalized=False),
    AddedToken("<word>", single_word=True, normalized=False),
    AddedToken("<left>", lstrip=True, normalized=False),
    AddedToken("<both>", lstrip=True, rstrip=True, special=True, normalized=False),
    AddedToken("か\u3099", normalized=True),
    AddedToken("two words", normalized=True),
    AddedToken("<norm>", normalized=True),
]
ODD_TEXTS = ["<think>a<think>", "a<word> <word>b <word> <word>", "_<word>", "\u00e9<word>-<word>", "a  <left>  b", "a \n<both>\t b<both>  <both>",
             "が か\u3099 か\u3099\u0316 が\u0316 か\u0316\u3099", "<norm>x <norm> x<norm>", "two words  two words two  words twowords", "<both>", "  <left>",
             "<thi<think>nk>", "\u0338<think>\u0338", "=\u0338<both>\u0338="]


def train_byte_level(family):
    tokenizer = Tokenizer(models.BPE())
    hugging_face.pipeline(tokenizer, family)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=len(alphabet) + MERGES, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(PROSE + CODE, trainer)
    data = json.loads(tokenizer.to_str())["model"]
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocab, merges = data["vocab"], [tuple(m) for m in data["merges"]]
    if family == "llama-bpe":
        vocab["Hello"] = len(vocab)  # no merges make it
    made = Tokenizer(models.BPE(vocab, merges, ignore_merges=family == "llama-bpe"))
    made.add_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    return made, specials[0]


def train_sentencepiece(family):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=MERGES + 150, limit_alphabet=110, show_progress=False)
    tokenizer.train_from_iterator(PROSE + CODE, trainer)
    data = json.loads(tokenizer.to_str())["model"]
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"] if family == "gemma" else ["<unk>", "<s>", "</s>"]
    tokens = specials + [f"<0x{b:02X}>" for b in range(256)]
    merges = [tuple(m) for m in data["merges"]]
    if family == "gemma":
        tokens[tokens.index("<0x09>")] = "\t"
        tokens += ["\n\n", "▁▁", "▁▁▁"]
        merges = [("\n", "\n"), ("▁", "▁"), ("▁▁", "▁"), ("▁", "▁▁")] + merges
    for token in sorted(data["vocab"], key=data["vocab"].get):
        if token not in tokens:
            tokens.append(token)
    if "\n" not in tokens:
        tokens.append("\n")
    vocab = {t: i for i, t in enumerate(tokens)}
    made = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.add_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    if family == "gemma":
        made.add_tokens([AddedToken(s, normalized=False) for s in ("\n\n", "▁▁", "▁▁▁")])
    return made, "<bos>" if family == "gemma" else "<s>"


def cases(tokenizer, texts):
    for text in texts:
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text).ids
        tokenizer.encode_special_tokens = True
        yield {"text": text, "ids": ids, "plain": tokenizer.encode(text).ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
               "skipped": tokenizer.decode(ids)}
    tokenizer.encode_special_tokens = False


def main():
    for family in BYTE_LEVEL + SENTENCEPIECE:
        byte_level = family in BYTE_LEVEL
        tokenizer, bos = train_byte_level(family) if byte_level else train_sentencepiece(family)
        hugging_face.pipeline(tokenizer, family)
        tokenizer.add_tokens(ODD_TOKENS)
        if family not in ("gpt-2", "smollm", "qwen2"):
            hugging_face.frame(tokenizer, bos)
        added = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
        # What repeats itself thousands of times is for compare.py.
        texts = ODD_TEXTS + [t for t in lines(2 * CASES, added) if len(t) < 300][:CASES]
        folder = HERE / family
        folder.mkdir(exist_ok=True)
        document = json.loads(tokenizer.to_str())
        if family == "smollm":  # as older files have it
            document["model"]["merges"] = [" ".join(m) for m in document["model"]["merges"]]
        (folder / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")
        rows = [json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in cases(tokenizer, texts)]
        (folder / "cases.jsonl").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
