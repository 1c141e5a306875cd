#!/usr/bin/env python3
"""Stands in for each program that bench/peers runs; which one, its own name says.

STUB_FAILS: programs and flags that make one crash ("llama-bench -fa off;headrace"). STUB_STREAM: a file with one
figure a line; each call of bench_read_stream takes the first. STUB_LOG: a file that gets every command line.
STUB_LOSES: a file that llama-batched-bench makes; when it does, it prints nothing else. STUB_MODEL_TYPE: instead of
"llama 1B Q8_0".
"""
import json
import os
import sys
import time
from pathlib import Path

name = Path(sys.argv[0]).name
line = " ".join([name, *sys.argv[1:]])
flags = dict(zip(sys.argv[1:], sys.argv[2:]))
with open(os.environ["STUB_LOG"], "a", encoding="utf-8") as log:
    print(line, file=log)
for failure in filter(None, os.environ.get("STUB_FAILS", "").split(";")):
    if all(f" {word} " in f" {line} " for word in failure.split(",")):
        print("first line\nthe reason why it fails", file=sys.stderr)
        sys.exit(3)
if f"STUB_SLEEPS_{name.replace('-', '_')}" in os.environ:
    time.sleep(60)

if name == "llama-batched-bench" and "STUB_LOSES" in os.environ and not Path(os.environ["STUB_LOSES"]).exists():
    Path(os.environ["STUB_LOSES"]).touch()
    sys.exit(0)

if name == "bench_read_stream":
    gb_s = 10.0
    if "STUB_STREAM" in os.environ:
        path = Path(os.environ["STUB_STREAM"])
        first, *rest = path.read_text(encoding="utf-8").split()
        path.write_text(" ".join(rest or [first]), encoding="utf-8")
        gb_s = float(first)
    print(json.dumps({"read_1gib_gb_s": gb_s, "read_64mib_gb_s": 2 * gb_s}))
elif name == "make_random_model":
    Path(sys.argv[1]).write_bytes(b"model")
else:
    print("a line that is no JSON")
    speed = 30.0 if name == "headrace" else 20.0 if flags.get("-fa") == "on" else 15.0
    if "-npp" in flags:
        print(json.dumps({"speed_tg": speed, "t": 100 / speed}))
    else:
        print(json.dumps({"avg_ts": speed, "int8_gop_s": 1000, "f32_gflop_s": 200, "model_n_params": 10**9,
                          "model_type": os.environ.get("STUB_MODEL_TYPE", "llama 1B Q8_0"), "weight_bytes_per_token": 2 * 10**8}))
