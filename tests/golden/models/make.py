#!/usr/bin/env python3
"""Makes the tiny checkpoints of this folder and their golden logits. Run by hand, never by `make`:

    make.py LLAMA_CPP [NAME...]

needs torch, transformers, tokenizers, sentencepiece, safetensors, gguf, and the source tree of llama.cpp,
whose convert_hf_to_gguf.py writes the GGUF form: its conventions are what is tested, not ours.

Each folder holds one random checkpoint as Hugging Face's files and as model.gguf, and golden.safetensors:
the logits [256, vocabulary] of transformers in float32 over the tokens in its metadata. The weights are scaled
so that attention is not flat and every field of the configuration matters (parity_test.cpp perturbs each).
"""
import json
import pathlib
import subprocess
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, Qwen2Config

HERE = pathlib.Path(__file__).parent
POSITIONS = 256
TRAINING_TEXT = ["The river rises in the hills, turns a wheel, and goes on to the sea.\n",
                 "for (int i = 0; i < 10; ++i) sum += values[i];\n",
                 "Wasser fließt, 水は流れる, вода течёт. 12 345 litres a second.\n"] * 20
CHAT_TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
                 "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
QWEN2_WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
               r"\s*[\r\n]+|\s+(?!\S)|\s+")
COMMON = dict(hidden_size=32, intermediate_size=48, num_attention_heads=4, num_hidden_layers=2,
              max_position_embeddings=1024, rms_norm_eps=1e-3)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)

# name: (configuration, storage type, the old spelling of RoPE in config.json)
CHECKPOINTS = {
    "llama-gqa-untied-bias": (LlamaConfig(**COMMON, num_key_value_heads=2, attention_bias=True, mlp_bias=True,
                                          tie_word_embeddings=False,
                                          rope_parameters=dict(rope_type="default", rope_theta=5000.0)),
                              torch.float32, True),
    "llama-mha-tied-llama3": (LlamaConfig(**COMMON, num_key_value_heads=4, tie_word_embeddings=True, head_dim=16,
                                          rope_parameters=LLAMA3), torch.bfloat16, False),
    "llama-mqa-linear": (LlamaConfig(**COMMON, num_key_value_heads=1, tie_word_embeddings=True,
                                     rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=3.0)),
                         torch.float16, True),
    "qwen2-gqa-tied": (Qwen2Config(**COMMON, num_key_value_heads=2, tie_word_embeddings=True,
                                   use_sliding_window=False,
                                   rope_parameters=dict(rope_type="default", rope_theta=20000.0)),
                       torch.bfloat16, True),
    "qwen2-untied-yarn": (Qwen2Config(**COMMON, num_key_value_heads=2, tie_word_embeddings=False, head_dim=16,
                                      use_sliding_window=False, rope_parameters=YARN), torch.float32, False),
    "gemma3-window": (Gemma3TextConfig(**{**COMMON, "num_hidden_layers": 7}, num_key_value_heads=2, head_dim=16,
                                       query_pre_attn_scalar=16, sliding_window=24, tie_word_embeddings=True,
                                       rope_parameters={
                                           "full_attention": dict(rope_type="default", rope_theta=100000.0),
                                           "sliding_attention": dict(rope_type="default", rope_theta=3000.0)}),
                      torch.bfloat16, False),
    "gemma3-linear": (Gemma3TextConfig(**{**COMMON, "num_hidden_layers": 6}, num_key_value_heads=1, head_dim=16,
                                       query_pre_attn_scalar=16, sliding_window=40, tie_word_embeddings=True,
                                       rope_parameters={
                                           "full_attention": dict(rope_type="linear", rope_theta=100000.0, factor=8.0),
                                           "sliding_attention": dict(rope_type="default", rope_theta=10000.0)}),
                      torch.float32, True),
}


def byte_level_tokenizer(family):
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family == "llama")
    if family == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        words = pre_tokenizers.Split(Regex(QWEN2_WORDS), behavior="isolated")
    else:
        words = pre_tokenizers.Digits(individual_digits=True)  # as SmolLM2
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=288, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(TRAINING_TEXT, trainer)
    return tokenizer


def write_byte_level(folder, family):
    byte_level_tokenizer(family).save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "Qwen2Tokenizer" if family == "qwen2" else "GPT2Tokenizer",
              "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>",
              "pad_token": "<|endoftext|>", "add_prefix_space": False, "chat_template": CHAT_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def write_sentencepiece(folder):
    import io
    import sentencepiece
    from transformers import GemmaTokenizer
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING_TEXT), model_writer=out, model_type="bpe", vocab_size=340,
        byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False,
        normalization_rule_name="identity", pad_id=0, eos_id=1, bos_id=2, unk_id=3,
        pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>",
        control_symbols=["<start_of_turn>", "<end_of_turn>"], hard_vocab_limit=False, minloglevel=2)
    for old in ("tokenizer.json", "tokenizer_config.json"):  # would be read instead
        (folder / old).unlink(missing_ok=True)
    (folder / "tokenizer.model").write_bytes(out.getvalue())
    GemmaTokenizer.from_pretrained(str(folder)).save_pretrained(str(folder))


def initialise(model, family):
    generator = torch.Generator().manual_seed(1)

    def normal(shape, std):
        return torch.randn(shape, generator=generator) * std
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "q_norm" in name or "k_norm" in name:
                p.copy_(1.0 + normal(p.shape, 0.3))  # doubled queries and keys: attention is not flat
            elif "norm" in name:  # Gemma adds one
                p.copy_((0.0 if family == "gemma3" else 1.0) + normal(p.shape, 0.3))
            elif "embed_tokens" in name:
                p.copy_(normal(p.shape, 0.2 if family != "gemma3" else 0.1))
            elif name.endswith("bias"):
                p.copy_(normal(p.shape, 0.3))
            elif "lm_head" in name:
                p.copy_(normal(p.shape, 0.5))
            elif "q_proj" in name or "k_proj" in name:
                p.copy_(normal(p.shape, 0.3))
            else:
                p.copy_(normal(p.shape, 0.2))


def old_rope_spelling(config):
    """config.json as transformers 4 wrote it."""
    rope = config.pop("rope_parameters")
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.get("rope_type", "default")
    config["rope_scaling"] = None if kind == "default" else rope


def make(name, llama_cpp):
    config, dtype, old_spelling = CHECKPOINTS[name]
    family = name.split("-")[0]
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    if family == "gemma3":
        write_sentencepiece(folder)
    else:
        write_byte_level(folder, family)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    config.vocab_size = tokenizer.get_vocab_size()
    ids = {token: tokenizer.token_to_id(token) for token in
           (["<bos>", "<eos>", "<pad>"] if family == "gemma3" else ["<|im_start|>", "<|im_end|>", "<|endoftext|>"])}
    config.bos_token_id, config.eos_token_id, config.pad_token_id = ids.values()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    initialise(model, family)
    model.to(dtype).save_pretrained(folder, save_original_format=False)
    (folder / "generation_config.json").unlink(missing_ok=True)
    settings = folder / "tokenizer_config.json"
    written = json.loads(settings.read_text())
    written.pop("vocab_file", None)  # a path of this machine
    if family == "gemma3":
        written["add_bos_token"] = True  # as Gemma's own has
    settings.write_text(json.dumps(written, indent=1) + "\n")
    if old_spelling:
        path = folder / "config.json"
        written = json.loads(path.read_text())
        old_rope_spelling(written)
        path.write_text(json.dumps(written, indent=2) + "\n")

    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(0, config.vocab_size, (1, POSITIONS), generator=generator)
    with torch.no_grad():
        logits = loaded(tokens).logits[0].float().contiguous()
    save_file({"logits": logits}, str(folder / "golden.safetensors"),
              metadata={"tokens": " ".join(str(t) for t in tokens[0].tolist())})

    outtype = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}[dtype]
    subprocess.run([sys.executable, __file__, "--convert", family, str(llama_cpp), str(folder), "--outtype", outtype,
                    "--outfile", str(folder / "model.gguf")], check=True)
    for written in folder.iterdir():
        written.chmod(0o644)
    for left in ("tokenizer.model", "special_tokens_map.json", "added_tokens.json"):
        (folder / left).unlink(missing_ok=True)
    print(f"{name}: vocabulary {config.vocab_size}, logits' std {logits.std():.3f}")


def convert(family, llama_cpp, arguments):
    """llama.cpp's converter; it knows pre-tokenizers by a hash of real vocabularies, which ours are not."""
    sys.path.insert(0, llama_cpp)
    sys.path.insert(0, llama_cpp + "/gguf-py")
    import conversion.base as base
    base.TextModel.get_vocab_base_pre = lambda self, tokenizer: {"llama": "smollm", "qwen2": "qwen2"}[family]
    import convert_hf_to_gguf
    sys.argv = ["convert_hf_to_gguf.py", *arguments]
    convert_hf_to_gguf.main()


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--convert":
        convert(sys.argv[2], sys.argv[3], sys.argv[4:])
    elif len(sys.argv) > 1:
        for wanted in sys.argv[2:] or CHECKPOINTS:
            make(wanted, pathlib.Path(sys.argv[1]))
    else:
        sys.exit(__doc__)
