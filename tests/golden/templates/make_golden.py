"""Writes cases.jsonl for golden_test.cpp: what jinja2 makes of the templates in own/. (Needs the package jinja2.)

    python3 make_golden.py
"""

import json
import pathlib

from compare import compiled, environment, inputs, theirs

HERE = pathlib.Path(__file__).parent
COUNT = 60


def main():
    env = environment()
    rows = []
    for path in sorted((HERE / "own").glob("*.jinja")):
        chat, broken = compiled(env, path.read_bytes().decode())
        if chat is None:
            raise SystemExit(f"{path}: {broken}")
        texts = 0
        for given in inputs(COUNT):
            text, _ = theirs(chat, given)
            texts += text is not None
            rows.append(json.dumps({"template": path.name, "input": given, "text": text}, separators=(",", ":")))
        print(f"{path.name}: {texts} of {COUNT} conversations rendered, the others refused")
    (HERE / "cases.jsonl").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
