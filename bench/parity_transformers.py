#!/usr/bin/env python3
"""Claim: greedy answers with float activations are those of transformers in float32 on the same GGUF file.

    parity_transformers.py MODEL.gguf PROMPTS.jsonl [--prompts-count 20] [--tokens 64] [--headrace build/release/headrace]

PROMPTS.jsonl has a "turns" list a line (Spec-Bench's form); the first turn is taken as it is, without a chat
template. Needs torch, transformers, gguf and accelerate in the Python environment. A difference counts as equal only
where transformers' own two best logits are closer than 1e-4; those are listed. Exit status 1 if anything else differs.
"""
import argparse
import json
import os
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

NEAR_TIE = 1e-4
# Both sides never take these, so that every prompt is compared over all its tokens.
END_TOKENS = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "</s>", "<eos>", "<end_of_turn>"]


def reference(model, ids, count, ends):
    """Greedy tokens and the gap between the two best logits at each of them."""
    tokens, gaps = [], []
    with torch.no_grad():
        inputs, past = torch.tensor([ids]), None
        for _ in range(count):
            out = model(inputs, past_key_values=past, use_cache=True)
            past = out.past_key_values
            logits = out.logits[0, -1]
            logits[ends] = float("-inf")
            best = logits.topk(2)
            tokens.append(int(best.indices[0]))
            gaps.append(float(best.values[0] - best.values[1]))
            inputs = torch.tensor([[tokens[-1]]])
    return tokens, gaps


def ours(program, model, prompt, count):
    command = [program, "run", "-m", model, "-p", prompt, "--no-escape", "--raw", "-n", str(count), "--temp", "0", "--ignore-eos",
               "--activations", "f32", "-ctk", "f32", "-ctv", "f32", "-c", "4096", "--json", "--quiet"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def ids_of(program, model, prompt):
    command = [program, "tokenize", "-m", model, "-p", prompt, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["ids"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("prompts")
    parser.add_argument("--prompts-count", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--headrace", default="build/release/headrace")
    args = parser.parse_args()

    folder, name = os.path.split(os.path.abspath(args.model))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager")
    model.eval()

    vocabulary = tokenizer.get_vocab()
    ends = [vocabulary[token] for token in END_TOKENS if token in vocabulary and not (token == "</s>" and "<eos>" in vocabulary)]
    differ = ties = other_ids = compared = 0
    with open(args.prompts, encoding="utf-8") as lines:
        for number, line in zip(range(args.prompts_count), lines):
            prompt = json.loads(line)["turns"][0]
            ids = ids_of(args.headrace, args.model, prompt)
            theirs = tokenizer(prompt)["input_ids"]
            # The conversion of a GGUF tokenizer may drop BOS; the tokens after it must agree.
            other_ids += ids[-len(theirs):] != theirs
            expected, gaps = reference(model, ids, args.tokens, ends)
            found = ours(args.headrace, args.model, prompt, args.tokens)["tokens"]
            compared += len(found)
            first = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), None)
            if first is None:
                continue
            tie = gaps[first] < NEAR_TIE
            ties += tie
            differ += not tie
            print(f"prompt {number}, token {first}: {found[first]} for {expected[first]}, gap {gaps[first]:.2e}"
                  + (" (near tie)" if tie else ""))
    print(f"{args.prompts_count} prompts, {compared} tokens: {differ} prompts differ, {ties} near ties, "
          f"{other_ids} prompts with other token ids")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
