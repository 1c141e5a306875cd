// The fake device keeps host code out of device memory and host memory out of ops, and computes what the
// reference computes.
#include "ops/reference/fake_device.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "ops/testing/attention.h"
#include "ops/testing/promises.h"

namespace headrace::ops_testing {
namespace {

float peek(const float* at) {
  return *static_cast<const volatile float*>(at);
}
void poke(float* at) {
  *static_cast<volatile float*>(at) = 1.0F;
}

// Sanitizers catch SIGSEGV and exit with a status.
bool faulted(int status) {
  return WIFSIGNALED(status) ? WTERMSIG(status) == SIGSEGV : WIFEXITED(status) && WEXITSTATUS(status) != 0;
}

class FakeDevice : public ::testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = make_fake_device();
  MemoryLedger ledger_{uint64_t{1} << 30};

  DeviceBuffer allocate(size_t bytes) {
    return backend_->allocate(ledger_, MemoryUse::scratch, bytes, "test").value();
  }
  std::vector<std::byte> read(const DeviceBuffer& buffer) {
    std::vector<std::byte> bytes(buffer.size());
    backend_->download(bytes.data(), buffer.data(), bytes.size());
    return bytes;
  }
  void fill(const DeviceBuffer& buffer) {
    const std::vector<std::byte> bytes(buffer.size(), std::byte{0xA5});
    backend_->upload(buffer.data(), bytes.data(), bytes.size());
  }
};

class FakeDeviceDeathTest : public FakeDevice {
 protected:
  void SetUp() override { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

// --- the walls ------------------------------------------------------------------------------------------

TEST_F(FakeDeviceDeathTest, HostReadsAndWritesFault) {
  Device device(make_fake_device());
  const Mat x = device.mat(std::vector<float>(16, 1.0F), 16);
  EXPECT_EXIT(peek(x.data), faulted, "");
  EXPECT_EXIT(poke(x.data), faulted, "");
  EXPECT_EXIT(peek(x.data + (1 << 20)), faulted, "");  // memory that no buffer ever held
  std::vector<float> host(16);
  EXPECT_EXIT(std::memcpy(host.data(), x.data, 64), faulted, "");
}

TEST_F(FakeDeviceDeathTest, WhateverOpenedTheMemoryShutsItAgain) {
  const DeviceBuffer a = allocate(4096);
  EXPECT_EXIT(peek(a.as<float>()), faulted, "");
  fill(a);
  EXPECT_EXIT(peek(a.as<float>()), faulted, "");
  read(a);
  EXPECT_EXIT(peek(a.as<float>()), faulted, "");
  const std::vector<std::byte> row(64);
  backend_->pack(DType::F32, 1, 16, row.data(), a.data());
  EXPECT_EXIT(peek(a.as<float>()), faulted, "");
  backend_->copy(a.data(), a.data() + 64, 64);
  EXPECT_EXIT(peek(a.as<float>()), faulted, "");
  const Mat x = {a.as<float>(), 1, 16, 16};
  backend_->add(x, x);
  EXPECT_EXIT(peek(a.as<float>()), faulted, "");
  { const DeviceBuffer passing = allocate(64); }
  const DeviceBuffer reused = allocate(64);  // zeroed
  EXPECT_EXIT(peek(a.as<float>()), faulted, "");
}

// Negative control: what dies above dies of the walls.
TEST_F(FakeDeviceDeathTest, TheSameCallsWithoutPeekingOrWithoutWallsRun) {
  Device walled(make_fake_device());
  const Mat x = walled.mat(std::vector<float>(16, 1.0F), 16);
  EXPECT_EXIT(
      {
        walled.ops().add(x, x);
        std::exit(walled.read(x) == std::vector<float>(16, 2.0F) ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
  Device open(make_reference_backend());
  const Mat y = open.mat(std::vector<float>(16, 1.0F), 16);
  poke(y.data);
  EXPECT_EQ(peek(y.data), 1.0F);
}

TEST_F(FakeDeviceDeathTest, OpsRefuseHostMemory) {
  Device device(make_fake_device());
  Random random(1);
  const Weight table = device.weight(DType::F32, 4, 16, random_weights(random, DType::F32, 4, 16));
  const Mat y = device.mat(2, 16);
  const std::vector<int32_t> ids = {0, 1};
  const std::vector<uint32_t> rows = {0, 1};
  std::vector<float> floats(32, 1.0F);
  const Mat host = {floats.data(), 2, 16, 16};
  Backend& backend = device.backend();
  EXPECT_DEATH(backend.embed(ids.data(), table, 1, y), "embed: ids: 8 bytes that no device buffer holds");
  EXPECT_DEATH(backend.gather_rows(y, rows.data(), y), "gather_rows: rows");
  EXPECT_DEATH(backend.rms_norm(y, {floats.data(), 16}, 1e-5F, y), "rms_norm: gain");
  EXPECT_DEATH(backend.add(y, host), "add: y");
  EXPECT_DEATH(backend.add(host, y), "add: x");
  EXPECT_DEATH(backend.copy(y.data, floats.data(), 64), "copy: from");
  EXPECT_DEATH(backend.upload(floats.data(), floats.data(), 64), "upload: device");
  EXPECT_DEATH(backend.upload(y.data, y.data, 64), "upload: host: expected host memory, found device memory");
  EXPECT_DEATH(backend.download(y.data, y.data, 64), "download: host");
}

TEST_F(FakeDeviceDeathTest, AttendRefusesAPlanInHostMemory) {
  Device device(make_fake_device());
  const AttentionShape shape;
  const Layout layout = chain_layout(0, 20, 16);
  const std::vector<float> floats(20 * shape.kv_width(), 1.0F);
  const KvView cache = make_cache(device, shape, layout, floats, floats);
  const Visible row = {0, 20};
  const Plan plan = whole_plan(layout, std::span(&row, 1), 1);
  const Mat q = device.mat(std::vector<float>(shape.q_width(), 1.0F), shape.q_width());
  const Mat out = device.mat(1, shape.q_width());
  const AttentionPlan right = plan.upload(device, nullptr);
  device.ops().attend(q, cache, right, 0.125F, out);
  AttentionPlan wrong = right;
  wrong.runs = plan.runs.data();
  EXPECT_DEATH(device.ops().attend(q, cache, wrong, 0.125F, out), "attend: runs");
  wrong = right;
  wrong.items = plan.items.data();
  EXPECT_DEATH(device.ops().attend(q, cache, wrong, 0.125F, out), "attend: items");
  wrong = right;
  wrong.item_rows = plan.item_rows.data();
  EXPECT_DEATH(device.ops().attend(q, cache, wrong, 0.125F, out), "attend: item_rows");
}

TEST_F(FakeDeviceDeathTest, OpsRefuseFreedMemoryAndRangesThatLeaveTheirBuffer) {
  const DeviceBuffer a = allocate(100);
  DeviceBuffer b = allocate(100);
  const Mat x = {a.as<float>(), 1, 25, 25};
  const Mat y = {b.as<float>(), 1, 25, 25};
  backend_->add(x, y);
  EXPECT_DEATH(backend_->add({a.as<float>(), 1, 26, 26}, {b.as<float>(), 1, 26, 26}), "add: x: 104 bytes");
  b = DeviceBuffer();
  EXPECT_DEATH(backend_->add(x, y), "add: y");
}

// --- memory ---------------------------------------------------------------------------------------------

TEST_F(FakeDevice, FreedMemoryIsLentAgainZeroed) {
  DeviceBuffer a = allocate(1000);
  const DeviceBuffer b = allocate(5000);
  const std::byte* const place = a.data();
  fill(a);
  fill(b);
  a = DeviceBuffer();
  a = allocate(900);
  EXPECT_EQ(a.data(), place);
  EXPECT_EQ(read(a), std::vector<std::byte>(900));
  EXPECT_EQ(read(b), std::vector<std::byte>(5000, std::byte{0xA5}));
}

TEST_F(FakeDevice, NeighbouringGapsBecomeOne) {
  DeviceBuffer a = allocate(128);
  DeviceBuffer b = allocate(128);
  DeviceBuffer c = allocate(128);
  const DeviceBuffer d = allocate(128);
  const std::byte* const place = a.data();
  for (DeviceBuffer* freed : {&a, &c, &b}) *freed = DeviceBuffer();
  EXPECT_EQ(allocate(3 * 128).data(), place);
  EXPECT_GT(allocate(3 * 128 + 1).data(), d.data());
}

TEST_F(FakeDevice, PiecesOfRandomSizesNeverOverlap) {
  Random random(2);
  std::vector<std::pair<DeviceBuffer, std::byte>> live;
  for (int i = 0; i < 500; ++i) {
    if (live.size() > 20) {
      const size_t at = random.below(static_cast<uint32_t>(live.size()));
      EXPECT_EQ(read(live[at].first), std::vector<std::byte>(live[at].first.size(), live[at].second));
      live.erase(live.begin() + static_cast<ptrdiff_t>(at));
    }
    DeviceBuffer buffer = allocate(random.between(1, 9000));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_EQ(read(buffer), std::vector<std::byte>(buffer.size()));
    const auto mark = static_cast<std::byte>(1 + i % 255);
    const std::vector<std::byte> bytes(buffer.size(), mark);
    backend_->upload(buffer.data(), bytes.data(), bytes.size());
    live.emplace_back(std::move(buffer), mark);
  }
}

TEST_F(FakeDevice, AFullArenaIsAnErrorAndNotBooked) {
  const auto small = make_fake_device(64 << 10);
  DeviceBuffer half = small->allocate(ledger_, MemoryUse::kv, 40 << 10, "cache").value();
  const DeviceBuffer rest = small->allocate(ledger_, MemoryUse::weights, 24 << 10, "weights").value();
  EXPECT_EQ(ledger_.used(MemoryUse::kv), 40u << 10);
  for (const size_t bytes : {size_t{1}, size_t{64} << 10, (size_t{64} << 10) + 1, size_t{1} << 29}) {
    const Result<DeviceBuffer> refused = small->allocate(ledger_, MemoryUse::scratch, bytes, "one more");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::out_of_budget);
    EXPECT_NE(refused.error().message.find("one more"), std::string::npos);
  }
  EXPECT_EQ(ledger_.used(), 64u << 10);
  half = DeviceBuffer();
  EXPECT_EQ(ledger_.used(), 24u << 10);
  EXPECT_TRUE(small->allocate(ledger_, MemoryUse::kv, 40 << 10, "cache"));
}

// More addresses than a processor has.
TEST_F(FakeDevice, AnArenaThatTheSystemRefusesLendsNothing) {
  const auto none = make_fake_device(size_t{1} << 60);
  const Result<DeviceBuffer> refused = none->allocate(ledger_, MemoryUse::kv, 64, "cache");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::out_of_budget);
}

// --- the bits -------------------------------------------------------------------------------------------

template <typename Op>
void expect_the_bits_of_the_reference(Op op) {
  Device truth(make_reference_backend());
  Device fake(make_fake_device());
  EXPECT_TRUE(equal_bits(op(truth), op(fake)));
}

TEST_F(FakeDevice, LinearAndEmbedHaveTheBitsOfTheReference) {
  Random random(3);
  for (size_t type = 0; type < kDTypes; ++type) {
    const auto stored = static_cast<DType>(type);
    const std::vector<std::byte> rows = random_weights(random, stored, 19, 512);
    const std::vector<float> bias = random_floats(random, 19);
    expect_the_bits_of_the_reference([&](Device& device) {
      const Linear linear = {
          .weight = device.weight(stored, 19, 512, rows), .bias = device.vec(bias), .split = Split::none};
      const Mat x = device.mat(3, 512, 5);
      device.ops().embed(device.upload(std::vector<int32_t>{18, 0, 7}), linear.weight, 2.0F, x);
      const Mat y = device.mat(3, 19, 2);
      device.ops().linear(x, {{&linear, y}});
      return device.read(y);
    });
  }
}

TEST_F(FakeDevice, OpsOnRowsHaveTheBitsOfTheReference) {
  Random random(4);
  const std::vector<float> values = random_floats(random, size_t{4} * 96, Values::mixed);
  const std::vector<float> gain = random_floats(random, 96);
  const std::vector<float> frequencies = random_floats(random, 24);
  expect_the_bits_of_the_reference([&](Device& device) {
    const Mat x = device.mat(values, 96, 7);
    const Mat y = device.mat(4, 96);
    device.ops().rms_norm(x, device.vec(gain), 1e-5F, y);
    device.ops().gated(Activation::silu, y, x, y);
    device.ops().add(y, x);
    const Mat angles = device.mat(4, 48);
    device.ops().rope_angles(device.upload(std::vector<uint32_t>{0, 5, 77, 8191}), device.vec(frequencies),
                             angles);
    device.ops().rope(RopeStyle::halves, angles, 48, y);
    const Mat out = device.mat(3, 96);
    device.ops().gather_rows(y, device.upload(std::vector<uint32_t>{3, 1, 1}), out);
    std::vector<float> all = device.read(out);
    double* sums = device.make<double>(3);
    int32_t* best = device.make<int32_t>(3);
    device.ops().log_sum_exp(out, sums);
    device.ops().argmax(out, best);
    for (const double sum : device.download(sums, 3)) all.push_back(static_cast<float>(sum));
    for (const int32_t index : device.download(best, 3)) all.push_back(static_cast<float>(index));
    return all;
  });
}

TEST_F(FakeDevice, AttendThroughAPlanHasTheBitsOfTheReference) {
  constexpr uint32_t kKeys = 1100;  // three splits
  const AttentionShape shape = {
      .n_kv_heads = 2, .group = 2, .d_head = 32, .key_type = DType::F16, .value_type = DType::BF16};
  Random random(6);
  const std::vector<float> keys = random_floats(random, size_t{kKeys} * shape.kv_width());
  const std::vector<float> values = random_floats(random, size_t{kKeys} * shape.kv_width());
  const std::vector<float> queries = random_floats(random, 2 * shape.q_width());
  const std::vector<Visible> visible = {{0, kKeys}, {600, 1000}};
  const Layout layout = scattered_layout(random, 0, kKeys, 64, 40);
  for (const Plan& plan : {whole_plan(layout, visible, 2), split_plan(random, layout, visible, 2, 1)}) {
    expect_the_bits_of_the_reference([&](Device& device) {
      return attend(device, shape, make_cache(device, shape, layout, keys, values), plan, queries);
    });
  }
}

}  // namespace
}  // namespace headrace::ops_testing
