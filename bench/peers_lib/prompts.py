"""Files of prompts: Spec-Bench's lines have turns, HumanEval's a prompt, GSM8K's a question."""


def text_of(fields):
    turns = fields.get("turns") or [""]
    return fields.get("prompt") or fields.get("question") or turns[0]
