#include "hub/checksum.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "hub/part_file.h"

namespace headrace {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
constexpr size_t kDigestBytes = 32;

EVP_MD_CTX* as_context(void* context) {
  return static_cast<EVP_MD_CTX*>(context);
}

}  // namespace

void Sha256::Free::operator()(void* context) const {
  EVP_MD_CTX_free(as_context(context));
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  HEADRACE_CHECK(context_ != nullptr);
  HEADRACE_CHECK(EVP_DigestInit_ex(as_context(context_.get()), EVP_sha256(), nullptr) == 1);
}

void Sha256::update(std::span<const std::byte> bytes) {
  HEADRACE_CHECK(EVP_DigestUpdate(as_context(context_.get()), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
  std::array<unsigned char, kDigestBytes> digest{};
  HEADRACE_CHECK(EVP_DigestFinal_ex(as_context(context_.get()), digest.data(), nullptr) == 1);
  std::string text;
  for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

bool is_sha256(std::string_view text) {
  return text.size() == 2 * kDigestBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<std::string> sha256_of_file(const std::filesystem::path& path, const Watch& watch) {
  HEADRACE_TRY(PartFile file, PartFile::open_to_read(path));
  HEADRACE_TRY(const uint64_t size, file.size());
  Sha256 sha;
  std::vector<std::byte> buffer(kReadBytes);
  uint64_t done = 0;
  while (true) {
    if (watch.cancelled()) return make_error(Errc::cancelled, "cancelled while reading {}", path.string());
    HEADRACE_TRY(const size_t got, file.read(buffer));
    if (got == 0) return sha.hex();
    sha.update(std::span(buffer).first(got));
    done += got;
    watch.report(done, size);
  }
}

}  // namespace headrace
