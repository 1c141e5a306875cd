#include "cli/bench_report.h"

#include <algorithm>
#include <cmath>

#include "core/file.h"

namespace headrace::cli {
namespace {

constexpr double kGiga = 1e9;

// Weights that are read for the tokens of an answer, as a share of what memory could deliver. Prompts read
// them once for many tokens.
std::optional<double> share_of_stream(const BenchFacts& facts, const SpeedResult& result) {
  const cpu::Ceilings* ceilings = facts.ceilings_of(result.test.n_threads);
  if (ceilings == nullptr || result.test.n_gen == 0 || result.test.n_prompt > 0) return std::nullopt;
  return mean_of(result.samples_ts()) * static_cast<double>(facts.weights_per_token) / ceilings->read_stream;
}

std::string value_text(const Json& value) {
  if (value.is_number_float()) return fmt::format("{:.6f}", value.get<double>());
  if (!value.is_array()) return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string list;
  for (const Json& item : value) list += (list.empty() ? "" : ", ") + value_text(item);
  return "[ " + list + " ]";
}

std::string fields_text(const Json& fields, const char* between, const char* indent) {
  std::string out;
  for (const auto& [name, value] : fields.items()) {
    out += fmt::format("{}{}\"{}\": {}", out.empty() ? "" : between, indent, name, value_text(value));
  }
  return out;
}

// Each repetition has its own number; one field of a line can't hold them.
bool in_csv(const std::string& name) {
  return !name.starts_with("samples_");
}

std::string csv_value(const Json& value) {
  std::string text;
  if (value.is_boolean())
    text = value.get<bool>() ? "1" : "0";
  else if (value.is_string())
    text = value.get<std::string>();
  else if (!value.is_null())
    text = value_text(value);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_line(const Json& fields) {
  std::string line;
  for (const auto& [name, value] : fields.items()) {
    if (in_csv(name)) line += (line.empty() ? "" : ",") + csv_value(value);
  }
  return line + "\n";
}

std::string csv_header(const Json& fields) {
  std::string line;
  for (const auto& [name, value] : fields.items()) {
    if (in_csv(name)) line += (line.empty() ? "" : ",") + name;
  }
  return line + "\n";
}

struct Column {
  const char* title;
  size_t width;
  bool left;  // aligned
  std::string value;
};

std::string size_text(uint64_t bytes) {
  const double mib = static_cast<double>(bytes) / 1024 / 1024;
  return mib < 1024 ? fmt::format("{:.2f} MiB", mib) : fmt::format("{:.2f} GiB", mib / 1024);
}

std::string parameters_text(uint64_t parameters) {
  const auto count = static_cast<double>(parameters);
  return count < 1e9 ? fmt::format("{:.2f} M", count / 1e6) : fmt::format("{:.2f} B", count / 1e9);
}

std::vector<Column> columns_of(const BenchFacts& facts, const SpeedResult& result) {
  const SpeedTest& test = result.test;
  const std::vector<double> speeds = result.samples_ts();
  std::vector<Column> columns = {
      {"model", 30, true, facts.model_type},
      {"size", 10, false, size_text(facts.model_size)},
      {"params", 10, false, parameters_text(facts.model_parameters)},
      {"backend", 10, true, "CPU"},
      {"threads", 7, false, fmt::format("{}", test.n_threads)},
  };
  if (facts.show_batch) columns.push_back({"n_batch", 7, false, fmt::format("{}", test.n_batch)});
  if (facts.show_ubatch) columns.push_back({"n_ubatch", 8, false, fmt::format("{}", test.n_ubatch)});
  if (facts.show_type_k) columns.push_back({"type_k", 6, false, facts.type_k});
  if (facts.show_type_v) columns.push_back({"type_v", 6, false, facts.type_v});
  columns.push_back({"test", 15, false, test.name()});
  columns.push_back(
      {"t/s", 20, false, fmt::format("{:.2f} ± {:.2f}", mean_of(speeds), deviation_of(speeds))});
  return columns;
}

std::string table_line(const std::vector<Column>& columns, bool titles) {
  std::string line = "|";
  for (const Column& column : columns) {
    const std::string& text = titles ? column.title : column.value;
    line += column.left ? fmt::format(" {:<{}} |", text, column.width)
                        : fmt::format(" {:>{}} |", text, column.width);
  }
  return line + "\n";
}

std::string table_header(const std::vector<Column>& columns) {
  std::string rule = "|";
  for (const Column& column : columns) {
    rule += fmt::format(" {}{} |", std::string(column.width - 1, '-'), column.left ? '-' : ':');
  }
  return table_line(columns, true) + rule + "\n";
}

}  // namespace

const cpu::Ceilings* BenchFacts::ceilings_of(uint32_t threads) const {
  const auto found = std::ranges::find(ceilings, threads, &cpu::Ceilings::threads);
  return found == ceilings.end() ? nullptr : &*found;
}

void add_machine_fields(const BenchFacts& facts, uint32_t threads, Json& fields) {
  fields["numerics"] = facts.numerics;
  fields["kernels"] = facts.kernels;
  fields["weight_bytes_per_token"] = facts.weights_per_token;
  const cpu::Ceilings* ceilings = facts.ceilings_of(threads);
  const auto add = [&](const char* name, double cpu::Ceilings::*figure) {
    fields[name] = ceilings == nullptr ? Json() : Json(ceilings->*figure / kGiga);
  };
  add("read_stream_gb_s", &cpu::Ceilings::read_stream);
  add("read_stream_64m_gb_s", &cpu::Ceilings::read_stream_small);
  add("int8_gop_s", &cpu::Ceilings::int8_ops);
  add("f32_gflop_s", &cpu::Ceilings::f32_ops);
}

Json bench_fields(const BenchFacts& facts, const SpeedResult& result) {
  const SpeedTest& test = result.test;
  const std::vector<double> speeds = result.samples_ts();
  const std::vector<double> times(result.samples_ns.begin(), result.samples_ns.end());
  // What this program has no switch for has llama-bench's value for a processor alone.
  Json fields = {{"build_commit", facts.version},
                 {"build_number", 0},
                 {"cpu_info", facts.processor},
                 {"gpu_info", ""},
                 {"backends", "CPU"},
                 {"model_filename", facts.model_filename},
                 {"model_type", facts.model_type},
                 {"model_size", facts.model_size},
                 {"model_n_params", facts.model_parameters},
                 {"n_batch", test.n_batch},
                 {"n_ubatch", test.n_ubatch},
                 {"n_threads", test.n_threads},
                 {"cpu_mask", "0x0"},
                 {"cpu_strict", false},
                 {"poll", 50},
                 {"type_k", facts.type_k},
                 {"type_v", facts.type_v},
                 {"n_gpu_layers", -1},
                 {"n_cpu_moe", 0},
                 {"split_mode", "layer"},
                 {"main_gpu", 0},
                 {"no_kv_offload", false},
                 {"flash_attn", -1},
                 {"devices", "auto"},
                 {"tensor_split", "0.00"},
                 {"tensor_buft_overrides", "none"},
                 {"load_mode", "auto"},
                 {"lazy_mode", "auto"},
                 {"embeddings", false},
                 {"no_op_offload", 0},
                 {"no_host", false},
                 {"repack", true},
                 {"fit_target", 0},
                 {"fit_min_ctx", 0},
                 {"n_prompt", test.n_prompt},
                 {"n_gen", test.n_gen},
                 {"n_depth", test.n_depth},
                 {"test_time", result.test_time},
                 {"avg_ns", std::llround(mean_of(times))},
                 {"stddev_ns", std::llround(deviation_of(times))},
                 {"avg_ts", mean_of(speeds)},
                 {"stddev_ts", deviation_of(speeds)},
                 {"samples_ns", result.samples_ns},
                 {"samples_ts", speeds}};
  add_machine_fields(facts, test.n_threads, fields);
  fields["share_of_read_stream"] = nullptr;
  if (const std::optional<double> share = share_of_stream(facts, result))
    fields["share_of_read_stream"] = *share;
  return fields;
}

std::string json_line(const Json& fields) {
  return "{" + fields_text(fields, ", ", "") + "}\n";
}

std::string SpeedReport::begin() const {
  switch (format_) {
    case BenchFormat::md:
      return table_header(columns_of(facts_, {}));
    case BenchFormat::csv:
      return csv_header(bench_fields(facts_, {}));
    case BenchFormat::json:
      return "[\n";
    case BenchFormat::jsonl:
      return "";
  }
  return "";
}

std::string SpeedReport::line(const SpeedResult& result) {
  const bool first = shown_.empty();
  shown_.push_back(result);
  switch (format_) {
    case BenchFormat::md:
      return table_line(columns_of(facts_, result), false);
    case BenchFormat::csv:
      return csv_line(bench_fields(facts_, result));
    case BenchFormat::json:
      return fmt::format("{}  {{\n{}\n  }}", first ? "" : ",\n",
                         fields_text(bench_fields(facts_, result), ",\n", "    "));
    case BenchFormat::jsonl:
      return json_line(bench_fields(facts_, result));
  }
  return "";
}

std::string SpeedReport::end() const {
  if (format_ == BenchFormat::json) return shown_.empty() ? "]\n" : "\n]\n";
  if (format_ != BenchFormat::md) return "";
  return footer_text(facts_) + shares_text();
}

std::string footer_text(const BenchFacts& facts) {
  std::string out = fmt::format("\nbuild: {} (0)\nnumerics {}, kernels {}, {}\n", facts.version,
                                facts.numerics, facts.kernels, facts.processor);
  for (const cpu::Ceilings& c : facts.ceilings) {
    out += fmt::format(
        "ceilings with {} thread{}: read stream {:.1f} GB/s ({}), {:.1f} GB/s ({}) | int8 {:.0f} GOP/s | "
        "f32 {:.0f} GFLOP/s\n",
        c.threads, c.threads == 1 ? "" : "s", c.read_stream / kGiga, human_bytes(c.stream_bytes),
        c.read_stream_small / kGiga, human_bytes(std::min(cpu::kSmallStreamBytes, c.stream_bytes)),
        c.int8_ops / kGiga, c.f32_ops / kGiga);
  }
  return out;
}

std::string SpeedReport::shares_text() const {
  std::string out;
  for (const SpeedResult& result : shown_) {
    const std::optional<double> share = share_of_stream(facts_, result);
    if (!share) continue;
    const std::string threads =
        facts_.ceilings.size() > 1 ? fmt::format(" with {} threads", result.test.n_threads) : "";
    out += fmt::format("{}{}: {:.0f} % of the read stream ({} of weights a token)\n", result.test.name(),
                       threads, *share * 100, human_bytes(facts_.weights_per_token));
  }
  return out;
}

}  // namespace headrace::cli
