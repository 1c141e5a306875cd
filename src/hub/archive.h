// One member out of a ZIP archive (a wheel is one), as a stream.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/result.h"
#include "hub/part_file.h"
#include "hub/watch.h"

namespace headrace {

/// Appends the bytes of `member` to `out`. The name must match exactly and is only looked up, never used as a
/// path; nothing else of the archive is touched. The member must declare `size` bytes and turn out to have
/// them, so that an archive cannot fill the disk. If this fails, what it had appended is cut off again.
///
/// Fails with bad_model (damaged archive, no such member, wrong size or checksum, encrypted), io, or
/// cancelled.
Status extract_member(const std::filesystem::path& archive, const std::string& member, uint64_t size,
                      PartFile& out, const Watch& watch);

}  // namespace headrace
