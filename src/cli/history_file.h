// The lines of earlier chats: ${XDG_STATE_HOME:-~/.local/state}/headrace/history, readable by its owner only.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace headrace::cli {

inline constexpr size_t kMaxHistoryEntries = 1000;
inline constexpr size_t kMaxHistoryEntryBytes = 8192;

/// Nothing if the environment names no home.
std::optional<std::filesystem::path> history_file();

/// The last kMaxHistoryEntries entries, oldest first; none if the file can't be read. A file that has grown
/// far beyond that is shortened.
std::vector<std::string> load_history();

/// Adds an entry, so that chats side by side don't overwrite each other. A history that can't be written is
/// no reason to stop a conversation: nothing happens then.
void append_history(const std::string& entry);

}  // namespace headrace::cli
