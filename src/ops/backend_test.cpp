#include "ops/backend.h"

#include <algorithm>

#include "ops/reference/fake_device.h"
#include "ops/testing/promises.h"

namespace headrace::ops_testing {
namespace {

std::vector<std::unique_ptr<Backend>> all_backends() {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_reference_backend());
  backends.push_back(make_fake_device());
  for (const cpu::Tier tier : cpu::available_tiers()) backends.push_back(make_cpu_backend(tier, 2));
  return backends;
}

TEST(DeviceBuffer, IsZeroAlignedAndChargedUntilItDies) {
  for (const auto& backend : all_backends()) {
    MemoryLedger ledger(1 << 20);
    {
      const DeviceBuffer buffer = backend->allocate(ledger, MemoryUse::kv, 1000, "cache").value();
      EXPECT_EQ(ledger.used(MemoryUse::kv), 1000u);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
      std::vector<std::byte> bytes(1000, std::byte{1});
      backend->download(bytes.data(), buffer.data(), bytes.size());
      EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte{0}), 1000);
    }
    EXPECT_EQ(ledger.used(), 0u);
  }
}

TEST(DeviceBuffer, AMovedBufferIsReleasedOnce) {
  for (const auto& backend : all_backends()) {
    MemoryLedger ledger(1 << 20);
    DeviceBuffer a = backend->allocate(ledger, MemoryUse::kv, 64, "a").value();
    {
      DeviceBuffer b = backend->allocate(ledger, MemoryUse::kv, 128, "b").value();
      a = std::move(b);
    }
    EXPECT_EQ(ledger.used(), 128u);
    a = DeviceBuffer();
    EXPECT_EQ(ledger.used(), 0u);
  }
}

TEST(DeviceBuffer, IsRefusedBeyondTheLedgersCapWithNothingBooked) {
  for (const auto& backend : all_backends()) {
    MemoryLedger ledger(100);
    const Result<DeviceBuffer> buffer =
        backend->allocate(ledger, MemoryUse::kv, 101, "the cache", "--context");
    ASSERT_FALSE(buffer);
    EXPECT_EQ(buffer.error().code, Errc::out_of_budget);
    EXPECT_NE(buffer.error().message.find("the cache"), std::string::npos);
    EXPECT_EQ(ledger.used(), 0u);
    EXPECT_TRUE(backend->allocate(ledger, MemoryUse::kv, 0, "nothing"));
  }
}

TEST(DeviceBuffer, WhatTheSystemRefusesIsAnErrorAndNotBooked) {
  MemoryLedger ledger(UINT64_MAX);
  const auto backend = make_cpu_backend(cpu::Tier::portable, 1);
  const Result<DeviceBuffer> buffer = backend->allocate(ledger, MemoryUse::kv, size_t{1} << 60, "the cache");
  ASSERT_FALSE(buffer);
  EXPECT_EQ(buffer.error().code, Errc::out_of_budget);
  EXPECT_EQ(ledger.used(), 0u);
}

TEST(Backend, CopyMovesItsBytesAndNoOthers) {
  for (auto& backend : all_backends()) {
    Device device(std::move(backend));
    const std::vector<uint16_t> values = {1, 2, 3, 4, 5, 6, 7};
    const uint16_t* from = device.upload(values);
    uint16_t* to = device.upload(std::vector<uint16_t>(7, 9));
    device.backend().copy(to + 2, from + 1, 3 * sizeof(uint16_t));
    device.backend().copy(nullptr, nullptr, 0);
    EXPECT_EQ(device.download(to, 7), (std::vector<uint16_t>{9, 9, 2, 3, 4, 9, 9}));
    EXPECT_EQ(device.download(from, 7), values);
  }
}

}  // namespace
}  // namespace headrace::ops_testing
