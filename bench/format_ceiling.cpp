// Claim: a prompt runs at 0.60 or more of what its weight format allows at all.
//
//   bench_format_ceiling MODEL [THREADS [ROUNDS]]
//
// The ceiling of a format: its kernel on one panel and a tile or two of activations that stay in the
// first-level cache, all threads at once, the best of a few shapes. The two take turns with a prompt of 512
// tokens, so that both see the same minute of the machine. One line of JSON for each format that prompts
// read, then one for the model: what its linears would take at their ceilings over what the whole prompt
// takes, median of the rounds; beside it the share of the raw peak. BF16 is measured in level `exact`.
#include <algorithm>
#include <map>

#include "core/checked.h"
#include "models/checkpoint.h"
#include "ops/cpu/ceilings.h"
#include "ops/cpu/pack.h"
#include "ops/cpu/panel.h"
#include "ops/quantise.h"
#include "ops/testing/random.h"
#include "world.h"

namespace headrace::bench {
namespace {

constexpr size_t kPrompt = 512;
constexpr double kSeconds = 0.05;  // of one measurement of a shape
constexpr size_t kWindow =
    64;  // runs timed at once, some 50 us; the best counts: a ceiling is what can be done
constexpr size_t kLine = 64;

struct Shape {
  size_t k;
  size_t tiles;
};
constexpr Shape kShapes[] = {{512, 1}, {768, 1}, {1024, 1}, {512, 2}, {768, 2}};

// One thread's inputs, 64-byte aligned.
class MicroKernel {
 public:
  MicroKernel(const cpu::KernelTable& kernels, DType type, Shape shape) : kernels_(kernels) {
    const size_t rows = kernels.tile_rows * shape.tiles;
    const size_t group = info_of(type).quantised ? activation_group(type) : 32;
    ops_testing::Random random(1);
    const auto weights = ops_testing::random_weights(random, type, cpu::kPanelWidth, shape.k);
    const auto floats = ops_testing::random_floats(random, rows * shape.k);
    std::byte* panel = take(cpu::panel_bytes(type, shape.k));
    cpu::pack_panel(type, shape.k, cpu::kPanelWidth, weights.data(), panel);
    auto* x = reinterpret_cast<float*>(take(floats.size() * sizeof(float)));
    std::ranges::copy(floats, x);
    const cpu::QuantisedTiles tiles = {
        .quants = reinterpret_cast<int8_t*>(take(rows * cpu::quants_of_row(shape.k))),
        .scales = reinterpret_cast<float*>(take(rows * shape.k / group * sizeof(float))),
        .sums_16 = reinterpret_cast<int16_t*>(take(rows * shape.k / 16 * sizeof(int16_t))),
        .sums_32 = reinterpret_cast<int16_t*>(take(rows * shape.k / 32 * sizeof(int16_t))),
        .float_sums_32 = reinterpret_cast<float*>(take(rows * shape.k / 32 * sizeof(float)))};
    for (size_t r = 0; r < rows; ++r) {
      const size_t first = r / kernels.tile_rows * kernels.tile_rows;
      kernels.quantise_row(x + r * shape.k, shape.k, group, cpu::tiles_from(tiles, first, shape.k, group),
                           kernels.tile_rows, r - first);
    }
    task_ = {.type = type,
             .panel = panel,
             .k = shape.k,
             .rows = rows,
             .group = group,
             .x_tiles = tiles,
             .x = x,
             .x_stride = shape.k,
             .y = reinterpret_cast<float*>(take(rows * cpu::kPanelWidth * sizeof(float))),
             .y_stride = cpu::kPanelWidth,
             .decoded = reinterpret_cast<int8_t*>(take(cpu::kDecodedBytes)),
             .segments = reinterpret_cast<float*>(take(cpu::segment_floats(rows, shape.k) * sizeof(float)))};
  }

  void run() const {
    info_of(task_.type).quantised ? kernels_.linear_quantised(task_) : kernels_.linear_float(task_);
  }
  double operations() const { return 2.0 * static_cast<double>(task_.rows * task_.k * cpu::kPanelWidth); }

 private:
  std::byte* take(size_t bytes) {
    HEADRACE_CHECK(used_ + bytes + cpu::kReadBeyond <= memory_.size());
    std::byte* at = memory_.data() + used_;
    used_ += round_up(bytes + cpu::kReadBeyond, kLine);
    return at;
  }

  const cpu::KernelTable& kernels_;
  struct alignas(kLine) Line {
    std::byte bytes[kLine];
  };
  std::vector<Line> lines_ = std::vector<Line>(size_t{1} << 12);
  std::span<std::byte> memory_ = {lines_.front().bytes, lines_.size() * kLine};
  size_t used_ = 0;
  cpu::LinearTask task_ = {};
};

// Operations a second of all threads together.
double speed_of(const cpu::KernelTable& kernels, ThreadPool& pool, DType type, Shape shape) {
  std::vector<std::unique_ptr<MicroKernel>> micros;
  for (size_t i = 0; i < pool.threads(); ++i)
    micros.push_back(std::make_unique<MicroKernel>(kernels, type, shape));
  std::vector<double> speeds(pool.threads());
  pool.parallel_for(pool.threads(), [&](size_t task, size_t) {
    const MicroKernel& micro = *micros[task];
    const Clock::time_point begin = Clock::now();
    while (seconds_since(begin) < kSeconds) {
      const Clock::time_point window = Clock::now();
      for (size_t i = 0; i < kWindow; ++i) micro.run();
      speeds[task] = std::max(speeds[task], kWindow * micro.operations() / seconds_since(window));
    }
  });
  double sum = 0;
  for (const double speed : speeds) sum += speed;
  return sum;
}

double ceiling_of(const cpu::KernelTable& kernels, ThreadPool& pool, DType type) {
  double best = 0;
  for (const Shape& shape : kShapes) best = std::max(best, speed_of(kernels, pool, type, shape));
  return best;
}

// Operations of a prompt's token by weight type: all matrices but the embedding's, which makes logits for the
// last token alone.
Result<std::map<DType, double>> operations_of(const char* path) {
  HEADRACE_TRY(const ModelFile file, ModelFile::open(path));
  HEADRACE_TRY(const auto checkpoint, Checkpoint::of(file));
  std::map<DType, double> operations;
  for (const FileTensor& tensor : checkpoint->tensors()) {
    if (checkpoint->is_ignored(tensor) || tensor.rows() == 1) continue;
    if (tensor.name == "token_embd.weight" || tensor.name == "output.weight") continue;
    operations[tensor.type] += 2.0 * static_cast<double>(tensor.rows() * tensor.row_elements());
  }
  return operations;
}

Result<double> prompt_seconds(Engine& engine) {
  engine.clear_cache();
  Request request;
  request.prompt = text(engine, kPrompt, 1);
  request.max_new_tokens = 1;
  request.sampling.temperature = 0;
  HEADRACE_TRY([[maybe_unused]] const RequestId id, engine.submit(std::move(request)));
  std::vector<Event> events;
  const Clock::time_point begin = Clock::now();
  while (!engine.idle()) engine.step(events);
  return seconds_since(begin);
}

Status run(int argc, char** argv) {
  const size_t threads = threads_from(argc, argv, 2);
  const size_t rounds = argc > 3 ? static_cast<size_t>(std::max(1, std::atoi(argv[3]))) : 7;
  const char* forced = std::getenv("HEADRACE_CPU");
  HEADRACE_TRY(const cpu::Tier tier, cpu::choose_tier(forced == nullptr ? "" : forced));
  const cpu::KernelTable& kernels = *cpu::kernel_table(tier);
  HEADRACE_TRY(const auto operations, operations_of(argv[1]));
  HEADRACE_TRY(World world, open(argv[1], make_cpu_backend(tier, threads), {.context = kPrompt + 1}));
  HEADRACE_TRY(const cpu::Ceilings raw, cpu::measure_ceilings(kernels, threads, *world.ledger));
  ThreadPool pool(threads);

  std::map<DType, std::vector<double>> ceilings;
  std::vector<double> shares;
  std::vector<double> speeds;
  double total = 0;
  for (const auto& [type, count] : operations) total += count;
  for (size_t round = 0; round <= rounds; ++round) {
    HEADRACE_TRY(const double first, prompt_seconds(*world.engine));
    double at_ceilings = 0;
    for (const auto& [type, count] : operations) {
      const double ceiling = ceiling_of(kernels, pool, type);
      if (round > 0) ceilings[type].push_back(ceiling);
      at_ceilings += kPrompt * count / ceiling;
    }
    HEADRACE_TRY(const double second, prompt_seconds(*world.engine));
    if (round == 0) continue;  // warms up
    shares.push_back(2 * at_ceilings / (first + second));
    speeds.push_back(2 * kPrompt * total / (first + second));
  }
  const auto median = [](std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
  };
  for (const auto& [type, values] : ceilings) {
    const double peak = info_of(type).quantised ? raw.int8_ops : raw.f32_ops;
    fmt::print(
        "{{\"tier\": \"{}\", \"threads\": {}, \"format\": \"{}\", \"ceiling_gop_s\": {:.0f}, "
        "\"share_of_raw_peak\": {:.3f}}}\n",
        cpu::name_of(tier), threads, info_of(type).name, median(values) / 1e9, median(values) / peak);
  }
  fmt::print(
      "{{\"model\": \"{}\", \"tier\": \"{}\", \"threads\": {}, \"rounds\": {}, \"pp512\": {:.1f}, "
      "\"gop_s\": {:.0f}, \"share_of_format_ceiling\": {:.3f}, \"share_of_int8_peak\": {:.3f}, "
      "\"share_of_f32_peak\": {:.3f}}}\n",
      printable(argv[1]), cpu::name_of(tier), threads, rounds, median(speeds) / total, median(speeds) / 1e9,
      median(shares), median(speeds) / raw.int8_ops, median(speeds) / raw.f32_ops);
  return {};
}

}  // namespace
}  // namespace headrace::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_format_ceiling MODEL [THREADS [ROUNDS]]\n");
    return 2;
  }
  return headrace::bench::finish("bench_format_ceiling", headrace::bench::run(argc, argv));
}
