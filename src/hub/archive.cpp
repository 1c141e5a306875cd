#include "hub/archive.h"

#include <zip.h>

#include <memory>
#include <vector>

#include "core/file.h"

namespace headrace {
namespace {

constexpr size_t kChunkBytes = size_t{256} << 10;

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};

std::string open_error(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

Status copy_member(const std::filesystem::path& path, const std::string& name, uint64_t size, PartFile& out,
                   const Watch& watch) {
  const std::string where = fmt::format("{}: {}", path.string(), printable(name));
  int code = 0;
  const std::unique_ptr<zip_t, CloseArchive> archive(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (!archive) return make_error(Errc::bad_model, "{}: {}", path.string(), open_error(code));

  const zip_int64_t index = zip_name_locate(archive.get(), name.c_str(), 0);
  zip_stat_t info;
  if (index < 0 || zip_stat_index(archive.get(), static_cast<zip_uint64_t>(index), 0, &info) != 0) {
    return make_error(Errc::bad_model, "{}: is not in the archive", where);
  }
  if ((info.valid & ZIP_STAT_SIZE) == 0 || info.size != size) {
    return make_error(Errc::bad_model, "{}: the archive declares {} bytes, expected {}", where, info.size,
                      size);
  }
  const std::unique_ptr<zip_file_t, CloseMember> member(
      zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(index), 0));
  if (!member) return make_error(Errc::bad_model, "{}: {}", where, zip_strerror(archive.get()));

  std::vector<std::byte> buffer(kChunkBytes);
  uint64_t done = 0;
  while (true) {
    if (watch.cancelled()) return make_error(Errc::cancelled, "{}: cancelled", where);
    const zip_int64_t got = zip_fread(member.get(), buffer.data(), buffer.size());
    if (got < 0) return make_error(Errc::bad_model, "{}: {}", where, zip_file_strerror(member.get()));
    if (got == 0) break;
    const auto bytes = static_cast<uint64_t>(got);
    if (bytes > size - done) {
      return make_error(Errc::bad_model, "{}: unpacks to more than the {} bytes expected", where, size);
    }
    HEADRACE_RETURN_IF_ERROR(out.append(std::span(buffer).first(bytes)));
    done += bytes;
    watch.report(done, size);
  }
  if (done != size)
    return make_error(Errc::bad_model, "{}: unpacks to {} bytes, expected {}", where, done, size);
  return {};
}

}  // namespace

Status extract_member(const std::filesystem::path& archive, const std::string& member, uint64_t size,
                      PartFile& out, const Watch& watch) {
  HEADRACE_TRY(const uint64_t before, out.size());
  Status status = copy_member(archive, member, size, out, watch);
  if (!status) HEADRACE_RETURN_IF_ERROR(out.truncate(before));
  return status;
}

}  // namespace headrace
