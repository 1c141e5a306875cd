// The tables of `headrace bench`: llama-bench's columns and fields in its order, ours after them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/bench_speed.h"
#include "cli/output.h"
#include "ops/cpu/ceilings.h"

namespace headrace::cli {

enum class BenchFormat { md, csv, json, jsonl };

/// What all lines of a table have in common.
struct BenchFacts {
  std::string version;
  std::string processor;
  std::string model_filename;
  std::string model_type;   // "llama 135M Q4_1"
  uint64_t model_size = 0;  // bytes of the file's tensors
  uint64_t model_parameters = 0;
  uint64_t weights_per_token = 0;  // bytes that computing one token reads
  std::string type_k = "f16";
  std::string type_v = "f16";
  std::string numerics = "exact";
  std::string kernels;
  std::vector<cpu::Ceilings> ceilings;  // one for each number of threads; empty: not measured
  // Columns that stand in the table only if they are not the same as always.
  bool show_batch = false;
  bool show_ubatch = false;
  bool show_type_k = false;
  bool show_type_v = false;

  /// Those with so many threads, or nullptr.
  const cpu::Ceilings* ceilings_of(uint32_t threads) const;
};

/// Writes a table piece by piece: what was measured is out before the next test begins.
class SpeedReport {
 public:
  SpeedReport(BenchFormat format, BenchFacts facts) : format_(format), facts_(std::move(facts)) {}

  std::string begin() const;
  std::string line(const SpeedResult& result);
  std::string end() const;

 private:
  std::string shares_text() const;

  BenchFormat format_;
  BenchFacts facts_;
  std::vector<SpeedResult> shown_;
};

/// The fields that are ours: numerics, kernels, ceilings with so many threads.
void add_machine_fields(const BenchFacts& facts, uint32_t threads, Json& fields);

/// What stands below a table: build, numerics, ceilings.
std::string footer_text(const BenchFacts& facts);

/// All fields of a line.
Json bench_fields(const BenchFacts& facts, const SpeedResult& result);

/// One line as llama-bench's JSON spells it: `"name": value, `, numbers with a fraction in six digits.
std::string json_line(const Json& fields);

}  // namespace headrace::cli
