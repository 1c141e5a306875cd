// One file over HTTP: resumed where it broke off, checked before it gets its name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/result.h"
#include "hub/http.h"
#include "hub/url.h"
#include "hub/watch.h"

namespace headrace {

struct DownloadRequest {
  Url url;
  std::filesystem::path target;  // in a folder that exists
  uint64_t size = 0;             // exact; a longer or shorter answer is refused
  std::string sha256;
};

/// Names that belong to an unfinished download of `target`: its bytes, and the validator they were sent with.
std::filesystem::path part_path(const std::filesystem::path& target);
std::filesystem::path tag_path(const std::filesystem::path& target);

/// Downloads to part_path(target) and renames to `target` once the checksum is right; the file is on the disk
/// when this returns. A broken or cancelled download leaves the part, and the next call continues it if the
/// server still has the same version (strong ETag), or else starts again. A file of the wrong length or
/// checksum is removed.
///
/// Fails with network, not_found (404), io, cancelled, or bad_model (not the file that was asked for; names
/// expected and found). The caller sees to it that nobody else writes to the same target. `checking` watches
/// the checksum's computation.
Status download(HttpSession& session, const DownloadRequest& request, const Watch& watch,
                const Watch& checking);

/// Refuses with bad_model a file whose checksum is not `sha256`, and removes it.
Status require_checksum(const std::filesystem::path& path, const std::string& sha256, const Watch& watch);

}  // namespace headrace
