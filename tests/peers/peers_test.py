#!/usr/bin/env python3
"""bench/peers, with stubs for the programs that it runs."""
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(PROJECT / "bench"))
from peers_lib import cells, llama_cpp, load, report  # noqa: E402
from peers_lib.programs import Failure  # noqa: E402

SPEED_CELLS = "pp512,tg128"


class PeersTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        for program in ("build/headrace", "build/bench/make_random_model", "build/bench/bench_read_stream",
                        "peer/llama-bench", "peer/llama-batched-bench"):
            path = self.folder / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(PROJECT / "tests" / "peers" / "stub.py")
        self.model = self.folder / "model.gguf"
        self.model.write_bytes(b"x" * 1000)
        self.environment = {**os.environ, "STUB_LOG": str(self.folder / "log"), "PYTHONDONTWRITEBYTECODE": "1",
                            "HEADRACE_BENCH_LOCK": str(self.folder / "lock")}

    def command(self, *flags):
        return [sys.executable, PROJECT / "bench" / "peers", "--build", self.folder / "build", "--peer",
                self.folder / "peer", "--cache", self.folder, "--out", self.folder / "out", "-t", "2", "--models",
                self.model, *flags]

    def peers(self, *flags, **environment):
        return subprocess.run(self.command(*flags), capture_output=True, text=True, check=False, timeout=120,
                              env={**self.environment, **environment})

    def table(self):
        return (self.folder / "out" / "table.md").read_text(encoding="utf-8")

    def events(self, event):
        lines = (self.folder / "out" / "raw.jsonl").read_text(encoding="utf-8").splitlines()
        return [fields for fields in map(json.loads, lines) if fields["event"] == event]

    def test_every_cell_has_medians_ratio_interval_and_shares(self):
        done = self.peers("--rounds", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in cells.CELLS:
            self.assertRegex(self.table(), rf"\| {name} \| 30\.0 \| 20\.0 \| 1\.50 \| 1\.50 to 1\.50 \| 2 \(0\)")
        self.assertIn("60 % and 40 % of 1 GiB, 30 % and 20 % of 64 MiB", self.table())
        self.assertIn("6 % and 4 % of int8", self.table())
        self.assertIn("shared32, prompt and decode together: 3.33 s and 5.00 s.", self.table())
        self.assertIn("1000 GOP/s int8; 200 GFLOP/s f32", self.table())
        self.assertIn(self.table(), done.stdout)

    def test_the_fastest_variant_of_the_peer_is_measured_and_named(self):
        self.peers("--rounds", "1", "--cells", SPEED_CELLS)
        self.assertEqual({run["variant"] for run in self.events("run") if run["program"] == "llama.cpp"},
                         {"given -fa on"})
        self.assertEqual(len(self.events("trial")), 4)  # two kinds of cell, -fa on and off
        self.assertIn("| given -fa on |", self.table())

    def test_a_round_goes_a_b_b_a(self):
        self.peers("--rounds", "1", "--cells", "tg128")
        self.assertEqual([run["program"] for run in self.events("run")],
                         ["headrace", "llama.cpp", "llama.cpp", "headrace"])

    def test_prompts_with_bf16_weights_are_compared_in_level_machine_with_exact_beside(self):
        self.peers("--rounds", "1", "--cells", SPEED_CELLS, STUB_MODEL_TYPE="llama 1B BF16")
        self.assertEqual([row.split(" | ")[0] for row in self.table().splitlines() if "30.0" in row],
                         ["| pp512 machine", "| pp512", "| tg128"])
        lines = [line for line in (self.folder / "log").read_text(encoding="utf-8").splitlines()
                 if line.startswith("headrace") and "-p 512" in line]
        self.assertEqual([("--numerics machine" in line) for line in lines], [True, True, False, False])

    def test_rounds_in_which_the_stream_moved_are_discarded_and_counted(self):
        stream = self.folder / "stream"
        stream.write_text("10 10 10 10.6 10 10.4 10", encoding="utf-8")
        done = self.peers("--rounds", "2", "--cells", "tg128", STUB_STREAM=str(stream))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| 2 (1) |", self.table())
        self.assertEqual([r["kept"] for r in self.events("round")], [True, False, True])

    def test_rounds_of_an_earlier_run_count(self):
        stream = self.folder / "stream"
        stream.write_text("10 10 10 10.6 " + "10 " * 20, encoding="utf-8")
        self.peers("--rounds", "2", "--cells", "tg128", STUB_STREAM=str(stream))
        self.assertIn("| 2 (1) |", self.table())
        before = len(self.events("run"))
        done = self.peers("--rounds", "3", "--cells", "tg128")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| 3 (1) |", self.table())
        self.assertEqual(len(self.events("run")), before + 4)
        self.peers("--rounds", "3", "--cells", "tg128")
        self.assertEqual(len(self.events("run")), before + 4)
        self.assertIn("| given -fa on |", self.table())

    def test_rounds_of_another_machine_are_refused(self):
        self.peers("--rounds", "1", "--cells", "tg128")
        raw = self.folder / "out" / "raw.jsonl"
        raw.write_text(raw.read_text(encoding="utf-8").replace('"processor": "', '"processor": "other '), encoding="utf-8")
        done = self.peers("--rounds", "2", "--cells", "tg128")
        self.assertEqual(done.returncode, 1)
        self.assertIn("was measured on other", done.stderr)
        self.assertIn("give another --out", done.stderr)

    def test_a_machine_that_is_never_steady_ends_the_cell(self):
        stream = self.folder / "stream"
        stream.write_text("10 20 " * 50, encoding="utf-8")
        done = self.peers("--rounds", "2", "--cells", "tg128", STUB_STREAM=str(stream))
        self.assertEqual(done.returncode, 1)
        self.assertIn("| tg128 | never steady |", self.table())
        self.assertIn("| 0 (6) |", self.table())

    def test_a_variant_that_crashes_is_left_out(self):
        done = self.peers("--rounds", "1", "--cells", SPEED_CELLS, STUB_FAILS="llama-bench,-fa on")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| given -fa off |", self.table())
        self.assertIn("the reason why it fails", done.stdout)

    def test_a_cell_that_fails_is_marked_and_the_rest_goes_on(self):
        for program, reason in (("llama-batched-bench", "llama.cpp fails with every"), ("headrace,--batched", "exit code 3")):
            done = self.peers("--rounds", "1", "--cells", "batch8,tg128", STUB_FAILS=program)
            self.assertEqual(done.returncode, 1)
            self.assertIn("| batch8 | failed |", self.table())
            self.assertIn(reason, self.table())
            self.assertIn("the reason why it fails", self.table())
            self.assertIn("| tg128 | 30.0 |", self.table())

    def test_what_llama_cpp_did_not_print_is_measured_again(self):
        done = self.peers("--rounds", "1", "--cells", "batch8", STUB_LOSES=str(self.folder / "lost"))
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertTrue((self.folder / "lost").exists())

    def test_ctrl_c_leaves_what_is_measured(self):
        running = subprocess.Popen(self.command("--rounds", "1", "--cells", "tg128,batch8"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True,
                                   env={**self.environment, "STUB_SLEEPS_llama_batched_bench": "1"})
        raw = self.folder / "out" / "raw.jsonl"
        deadline = time.monotonic() + 60
        while not (raw.exists() and '"event": "round"' in raw.read_text(encoding="utf-8")):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 130, err)
        self.assertIn("| tg128 | 30.0 | 20.0 |", out)
        self.assertIn("| batch8 | not measured |", out)
        self.assertIn("interrupted", err)

    def test_wrong_names_are_refused_with_the_right_ones(self):
        done = self.peers("--cells", "pp513")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no 'pp513'; expected some of pp512,", done.stderr)
        done = self.peers("--models", "none.gguf")
        self.assertIn("'none.gguf' is no file and none of smollm2", done.stderr)

    def test_programs_are_found_by_relative_paths(self):
        os.symlink(self.folder / "build" / "headrace", self.folder / "headrace")
        done = subprocess.run(self.command("--rounds", "1", "--cells", "tg128", "--headrace", "./headrace"), check=False,
                              capture_output=True, text=True, cwd=self.folder, env=self.environment, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)

    def test_missing_models_are_made(self):
        done = self.peers("--rounds", "1", "--cells", "tg128", "--models", "random-1b-q4_k")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("models/random-1b-q4_k.gguf --type Q4_K", (self.folder / "log").read_text(encoding="utf-8"))


class PartsTest(unittest.TestCase):
    def test_a_changed_archive_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / llama_cpp.ARCHIVE
            archive.write_bytes(b"something else")
            with self.assertRaisesRegex(Failure, f"SHA-256 is {hashlib.sha256(b'something else').hexdigest()}, expected"):
                llama_cpp.fetch(Path(folder))

    def test_the_interval_is_that_of_the_median(self):
        low, high = report.interval([1.0, 1.1, 1.2, 1.3, 5.0])
        self.assertLessEqual(low, 1.1)
        self.assertGreaterEqual(high, 1.3)
        self.assertIsNone(report.interval([1.0]))
        self.assertEqual(report.interval([2.0] * 7), (2.0, 2.0))

    def test_the_load_of_others_is_what_this_process_did_not_make(self):
        alone = load.OthersLoad()
        alone.busy, alone.ours, alone.uptime = alone.busy - 30, alone.ours - 10, alone.uptime - 40
        self.assertAlmostEqual(alone.processors(), 0.5, delta=0.1)

    def test_the_peer_has_context_enough(self):
        shared = cells.CELLS["shared32"]
        self.assertGreaterEqual(shared.context(unified=True), 1500 + 32 * 64)
        self.assertGreaterEqual(shared.context(unified=False), 32 * (1500 + 64))


if __name__ == "__main__":
    unittest.main()
