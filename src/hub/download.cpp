#include "hub/download.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "core/file.h"
#include "hub/checksum.h"
#include "hub/part_file.h"

namespace headrace {
namespace {

constexpr uint64_t kMaxTagBytes = 1024;
// An attempt that brought less than this counts as failed, or a server could drip for ever.
constexpr uint64_t kProgressBytes = uint64_t{1} << 20;
constexpr long kPartialContent = 206;
constexpr long kRangeNotSatisfiable = 416;

// Only a strong validator promises identical bytes; it goes back to the server as it came.
bool is_strong_tag(std::string_view etag) {
  return etag.size() >= 2 && etag.size() <= kMaxTagBytes && etag.front() == '"' && etag.back() == '"' &&
         etag.find_first_of("\r\n") == std::string_view::npos;
}

// The first byte of "bytes FIRST-LAST/TOTAL".
std::optional<uint64_t> range_begin(std::string_view content_range) {
  constexpr std::string_view kUnit = "bytes ";
  if (!content_range.starts_with(kUnit)) return std::nullopt;
  const char* begin = content_range.data() + kUnit.size();
  const char* end = content_range.data() + content_range.size();
  uint64_t first = 0;
  const auto [at, code] = std::from_chars(begin, end, first);
  if (code != std::errc() || at == end || *at != '-') return std::nullopt;
  return first;
}

class Downloader {
 public:
  Downloader(const DownloadRequest& request, const Watch& watch, PartFile part)
      : request_(request), watch_(watch), part_(std::move(part)) {}

  Status run(HttpSession& session) {
    HEADRACE_RETURN_IF_ERROR(pick_up());
    Retries retries(session.policy());
    while (have_ < request_.size) {
      const uint64_t before = have_;
      started_ = false;
      const HttpOutcome outcome = session.get(
          request_.url, headers(),
          [&](const HttpHead& head, std::span<const std::byte> bytes) { return take(head, bytes); },
          watch_.cancel);
      if (outcome.error && outcome.error->code == Errc::bad_model) {
        HEADRACE_RETURN_IF_ERROR(discard());
        return *outcome.error;
      }
      bool again = outcome.worth_retrying;
      if (outcome.head.status == kRangeNotSatisfiable && before > 0) {
        HEADRACE_RETURN_IF_ERROR(start_over());
        again = true;
      }
      if (!outcome.error && have_ == request_.size) break;
      // Without a length in the head, a connection that breaks looks like an answer that ends.
      if (!outcome.error) again = true;
      const bool progress = have_ >= before + kProgressBytes;
      if (again && retries.again(progress, watch_.cancel)) continue;
      if (watch_.cancelled()) return stopped();
      if (outcome.error) return *outcome.error;
      return make_error(Errc::network, "{}: the answer ended after {} of {} bytes", request_.url.display(),
                        have_, request_.size);
    }
    return part_.sync();
  }

 private:
  // Continues what an earlier call left, if it is known which version of the file it belongs to.
  Status pick_up() {
    HEADRACE_TRY(have_, part_.size());
    const Result<std::string> tag = read_text(tag_path(request_.target), kMaxTagBytes);
    if (tag && is_strong_tag(tag.value())) etag_ = tag.value();
    if (have_ > request_.size || (have_ > 0 && etag_.empty())) return start_over();
    return {};
  }

  Status start_over() {
    HEADRACE_RETURN_IF_ERROR(part_.truncate(0));
    have_ = 0;
    etag_.clear();
    return remove_file(tag_path(request_.target));
  }

  Status discard() {
    HEADRACE_RETURN_IF_ERROR(start_over());
    return remove_file(part_path(request_.target));
  }

  std::vector<std::string> headers() const {
    if (have_ == 0) return {};
    return {fmt::format("Range: bytes={}-", have_), "If-Range: " + etag_};
  }

  Status take(const HttpHead& head, std::span<const std::byte> bytes) {
    if (!std::exchange(started_, true)) HEADRACE_RETURN_IF_ERROR(start(head));
    if (bytes.size() > request_.size - have_) {
      return make_error(Errc::bad_model, "{}: the server sends more than the expected {} bytes",
                        request_.url.display(), request_.size);
    }
    HEADRACE_RETURN_IF_ERROR(part_.append(bytes));
    have_ += bytes.size();
    watch_.report(have_, request_.size);
    return {};
  }

  Status start(const HttpHead& head) {
    if (head.status != kPartialContent) {
      HEADRACE_RETURN_IF_ERROR(start_over());
    } else if (range_begin(head.content_range) != have_ || have_ == 0) {
      return make_error(Errc::network, "{}: asked for the bytes from {} on, the server sends '{}'",
                        request_.url.display(), have_, printable(head.content_range));
    }
    if (head.content_length && *head.content_length != request_.size - have_) {
      return make_error(Errc::bad_model, "{}: expected {} bytes, the server announces {}",
                        request_.url.display(), request_.size, have_ + *head.content_length);
    }
    if (have_ == 0 && is_strong_tag(head.etag)) {
      HEADRACE_TRY(PartFile tag, PartFile::open_to_append(tag_path(request_.target)));
      HEADRACE_RETURN_IF_ERROR(tag.append(std::as_bytes(std::span(head.etag))));
      etag_ = head.etag;
    }
    return {};
  }

  Error stopped() const {
    return make_error(Errc::cancelled, "{}: stopped after {} of {}", request_.url.display(),
                      human_bytes(have_), human_bytes(request_.size));
  }

  const DownloadRequest& request_;
  const Watch& watch_;
  PartFile part_;
  std::string etag_;
  uint64_t have_ = 0;
  bool started_ = false;
};

}  // namespace

std::filesystem::path part_path(const std::filesystem::path& target) {
  return target.string() + ".part";
}
std::filesystem::path tag_path(const std::filesystem::path& target) {
  return target.string() + ".part.etag";
}

Status require_checksum(const std::filesystem::path& path, const std::string& sha256, const Watch& watch) {
  HEADRACE_TRY(const std::string found, sha256_of_file(path, watch));
  if (found == sha256) return {};
  HEADRACE_RETURN_IF_ERROR(remove_file(path));
  return make_error(Errc::bad_model, "{}: has the SHA-256 {}, expected {}; the file was removed",
                    path.string(), found, sha256);
}

Status download(HttpSession& session, const DownloadRequest& request, const Watch& watch,
                const Watch& checking) {
  const std::filesystem::path part = part_path(request.target);
  HEADRACE_TRY(PartFile file, PartFile::open_to_append(part));
  HEADRACE_RETURN_IF_ERROR(Downloader(request, watch, std::move(file)).run(session));
  if (Status status = require_checksum(part, request.sha256, checking); !status) {
    if (status.error().code == Errc::bad_model) {
      HEADRACE_RETURN_IF_ERROR(remove_file(tag_path(request.target)));
    }
    return std::move(status).error().in(request.url.display());
  }
  HEADRACE_RETURN_IF_ERROR(rename_durably(part, request.target));
  return remove_file(tag_path(request.target));
}

}  // namespace headrace
