"""The published tokenizers of the families, rebuilt with Hugging Face's library from the vocabulary in a GGUF file."""

import os

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def split(regex):
    return pre_tokenizers.Split(Regex(regex), behavior="isolated")


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def pipeline(tokenizer, family):
    """Sets the stages around the model as the family's tokenizer.json has them."""
    digits = pre_tokenizers.Digits(individual_digits=True)
    stages = {
        "gpt-2": [byte_level(True)],
        "smollm": [digits, byte_level(True)],
        "llama-bpe": [split(LLAMA3), byte_level(False)],
        "qwen2": [split(QWEN2), byte_level(False)],
        "deepseek-coder": [split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), digits,
                           byte_level(False)],
    }
    if family in stages:
        of_family = stages[family]
        tokenizer.pre_tokenizer = of_family[0] if len(of_family) == 1 else pre_tokenizers.Sequence(of_family)
        tokenizer.decoder = decoders.ByteLevel()
        if family == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        return
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if family == "gemma":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    else:
        steps.append(decoders.Strip(" ", 1, 0))
        if family == "llama":
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
            tokenizer.pre_tokenizer = None
        else:  # mistral
            tokenizer.normalizer = None
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(steps)


def frame(tokenizer, bos):
    """Puts the token of that spelling in front of every text."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))])


def from_gguf(path):
    """The tokenizer, and the name of its family."""
    fields = GGUFReader(path).fields

    def field(name, otherwise=None):
        found = fields.get("tokenizer.ggml." + name)
        return otherwise if found is None else found.contents()

    tokens, kinds = field("tokens"), field("token_type")
    if field("model") == "gpt2":
        family = field("pre")
        vocab = {t: i for i, t in enumerate(tokens) if kinds[i] == NORMAL or i < 1000}
        merges = [tuple(m.split(" ")) for m in field("merges")]
        tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=family == "llama-bpe"))
    else:
        # Scores become merges as transformers turns them.
        from transformers import AutoTokenizer

        family = "gemma" if "<start_of_turn>" in tokens else "llama"
        converted = AutoTokenizer.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path))
        tokenizer = Tokenizer(converted._tokenizer.model)
    added = []
    for i, token in enumerate(tokens):
        if kinds[i] not in (NORMAL, UNUSED, BYTE):
            special = kinds[i] in (CONTROL, UNKNOWN) or turn_marker(token)
            if family == "gemma" and not token.strip(" "):
                token = token.replace(" ", "▁")
            added.append(AddedToken(token, special=special, normalized=False))
    tokenizer.add_tokens(added)
    pipeline(tokenizer, family)
    if field("add_bos_token", family in ("llama", "gemma", "llama-bpe")):
        frame(tokenizer, tokens[field("bos_token_id", 1)])
    return tokenizer, family


def turn_marker(token):
    """Ours takes these for control tokens whatever the file says, so that no user can type them."""
    return any(len(token) >= 2 * len(bar) + 2 and token.startswith("<" + bar) and token.endswith(bar + ">") for bar in "|｜")
