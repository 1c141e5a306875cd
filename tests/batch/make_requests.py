#!/usr/bin/env python3
"""Writes batch lines of many kinds, made from prompt files: make_requests.py COUNT PROMPTS.jsonl... > requests.jsonl

Takes files of lines with "turns" (a list of messages), "question" or "prompt". Chat and completions, greedy and
sampled, with stop strings, several choices and log-probabilities; the same arguments give the same lines."""
import json
import random
import sys

MAX_PROMPT_CHARACTERS = 1500


def texts(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            text = entry["turns"][0] if "turns" in entry else entry.get("question") or entry["prompt"]
            yield text[:MAX_PROMPT_CHARACTERS], "prompt" in entry


def body(text, is_completion, chance):
    fields = {"model": "any", "max_tokens": chance.choice([1, 8, 16, 24, 32])}
    if is_completion:
        fields["prompt"] = text
        if chance.random() < 0.2:
            fields["logprobs"] = 2
    else:
        fields["messages"] = [{"role": "user", "content": text}]
        if chance.random() < 0.3:
            fields["messages"].insert(0, {"role": "system", "content": "Answer in one short sentence."})
        if chance.random() < 0.2:
            fields.update(logprobs=True, top_logprobs=2)
    if chance.random() < 0.4:
        fields["temperature"] = 0
    elif chance.random() < 0.5:
        fields.update(temperature=0.8, top_k=40, top_p=0.95, seed=chance.randrange(1000))
    if chance.random() < 0.1:
        fields["n"] = 2
    if chance.random() < 0.2:
        fields["stop"] = [".", "\n\n"]
    if chance.random() < 0.1:
        fields["presence_penalty"] = 0.5
    return fields


def main():
    count = int(sys.argv[1])
    prompts = [prompt for path in sys.argv[2:] for prompt in texts(path)]
    chance = random.Random(1)
    for i in range(count):
        text, is_completion = prompts[i * 7919 % len(prompts)]
        url = "/v1/completions" if is_completion else "/v1/chat/completions"
        line = {"custom_id": f"request-{i}", "method": "POST", "url": url, "body": body(text, is_completion, chance)}
        print(json.dumps(line, ensure_ascii=False))


main()
