#include "cli/line_editor.h"

#include <histedit.h>
#include <unistd.h>
#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>

#include <langinfo.h>

#include "cli/history_file.h"
#include "cli/input_bytes.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/pasted_text.h"
#include "cli/wide_text.h"

namespace headrace::cli {
namespace {

constexpr wchar_t kCtrlC = 3;
constexpr const char* kPasteOn = "\033[?2004h";
constexpr const char* kPasteOff = "\033[?2004l";
constexpr std::string_view kPasteEnd = "\033[201~";

struct Binding {
  const wchar_t* key;
  const wchar_t* function;
};
// What libedit leaves unbound, or binds to something that other programs do differently.
constexpr Binding kBindings[] = {
    {L"\\e[3~", L"ed-delete-next-char"}, {L"\\e[H", L"ed-move-to-beg"},    {L"\\e[1~", L"ed-move-to-beg"},
    {L"\\eOH", L"ed-move-to-beg"},       {L"\\e[F", L"ed-move-to-end"},    {L"\\e[4~", L"ed-move-to-end"},
    {L"\\eOF", L"ed-move-to-end"},       {L"\\e[1;5C", L"em-next-word"},   {L"\\e[1;5D", L"ed-prev-word"},
    {L"^W", L"ed-delete-prev-word"},     {L"^R", L"em-inc-search-prev"},   {L"^C", L"headrace-interrupt"},
    {L"^Z", L"headrace-suspend"},        {L"\\e\\r", L"headrace-newline"}, {L"\\e[200~", L"headrace-paste"},
};

// Without it libedit could neither measure nor print what is not ASCII.
void choose_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

class LineEditor final : public LineSource {
 public:
  LineEditor() = default;
  ~LineEditor() override;
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  bool open();
  Result<Line> read(const std::string& prompt) override;
  void remember(const std::string& entry) override;
  bool interactive() const override { return true; }

 private:
  enum class Stop { none, end, interrupted };

  static LineEditor& of(EditLine* editor);
  static wchar_t* prompt_of(EditLine* editor);
  static int on_read(EditLine* editor, wchar_t* key);
  static unsigned char on_interrupt(EditLine* editor, int);
  static unsigned char on_suspend(EditLine* editor, int);
  static unsigned char on_newline(EditLine* editor, int);
  static unsigned char on_paste(EditLine* editor, int);

  void bind_keys();
  void keep_keys(bool keep);
  void add_to_history(const std::string& entry);
  void back_from_background();

  EditLine* editor_ = nullptr;
  HistoryW* history_ = nullptr;
  std::FILE* complaints_ = nullptr;  // libedit's own, about unknown terminals
  InputBytes input_;
  std::string bytes_;  // of a character that is not complete
  std::wstring prompt_;
  Pastes pastes_;
  Stop stop_ = Stop::none;
  std::string interrupted_text_;
};

LineEditor& LineEditor::of(EditLine* editor) {
  void* self = nullptr;
  el_wget(editor, EL_CLIENTDATA, &self);
  return *static_cast<LineEditor*>(self);
}

wchar_t* LineEditor::prompt_of(EditLine* editor) {
  return of(editor).prompt_.data();
}

bool LineEditor::open() {
  choose_utf8();
  complaints_ = std::fopen("/dev/null", "w");
  history_ = history_winit();
  if (complaints_ == nullptr || history_ == nullptr) return false;
  editor_ = el_init("headrace", stdin, stderr, complaints_);
  if (editor_ == nullptr) return false;
  HistEventW event;
  history_w(history_, &event, H_SETSIZE, static_cast<int>(kMaxHistoryEntries));
  history_w(history_, &event, H_SETUNIQUE, 1);
  el_wset(editor_, EL_CLIENTDATA, this);
  el_wset(editor_, EL_PROMPT, prompt_of);
  el_wset(editor_, EL_HIST, history_w, history_);
  el_wset(editor_, EL_GETCFN, on_read);
  bind_keys();
  // Ctrl-C and Ctrl-Z arrive as keys: a signal would find libedit in the middle of something.
  el_wset(editor_, EL_SETTY, L"-d", L"-isig", nullptr);
  keep_keys(true);
  for (const std::string& entry : load_history()) add_to_history(entry);
  std::fputs(kPasteOn, stderr);
  return true;
}

LineEditor::~LineEditor() {
  if (editor_ != nullptr) {
    el_end(editor_);
    std::fputs(kPasteOff, stderr);
    std::fflush(stderr);
  }
  if (history_ != nullptr) history_wend(history_);
  if (complaints_ != nullptr) std::fclose(complaints_);
}

void LineEditor::bind_keys() {
  el_wset(editor_, EL_EDITOR, L"emacs");
  el_wset(editor_, EL_ADDFN, L"headrace-interrupt", L"Leave the line", on_interrupt);
  el_wset(editor_, EL_ADDFN, L"headrace-suspend", L"Go to the background", on_suspend);
  el_wset(editor_, EL_ADDFN, L"headrace-newline", L"Insert a newline", on_newline);
  el_wset(editor_, EL_ADDFN, L"headrace-paste", L"Take a pasted block", on_paste);
  for (const Binding& binding : kBindings) {
    el_wset(editor_, EL_BIND, binding.key, binding.function, nullptr);
  }
}

// Outside of read(), while an answer streams: keys are not shown in the midst of it but kept for the next
// line. Line by line (icanon) the terminal would also cut a long paste off.
void LineEditor::keep_keys(bool keep) {
  el_wset(editor_, EL_SETTY, L"-x", keep ? L"-icanon" : L"+icanon", keep ? L"-echo" : L"+echo", nullptr);
}

int LineEditor::on_read(EditLine* editor, wchar_t* key) {
  LineEditor& self = of(editor);
  for (;;) {
    if (const std::optional<wchar_t> next = take_character(self.bytes_)) {
      *key = *next;
      return 1;
    }
    const InputBytes::Got got = self.input_.next_byte();
    switch (got.kind) {
      case InputBytes::Kind::byte:
        self.bytes_ += got.byte;
        continue;
      case InputBytes::Kind::signal:
        *key = kCtrlC;
        return 1;
      case InputBytes::Kind::changed:
        self.back_from_background();
        continue;
      case InputBytes::Kind::end:
      case InputBytes::Kind::failed:
        self.stop_ = Stop::end;
        return 0;
    }
  }
}

// Another program, or the shell, may have changed the terminal's modes and what is on it.
void LineEditor::back_from_background() {
  el_wset(editor_, EL_PREP_TERM, 0);
  el_wset(editor_, EL_PREP_TERM, 1);
  el_resize(editor_);
  std::fputs(kPasteOn, stderr);
  el_wset(editor_, EL_REFRESH);
}

unsigned char LineEditor::on_interrupt(EditLine* editor, int) {
  LineEditor& self = of(editor);
  const LineInfoW* line = el_wline(editor);
  self.interrupted_text_ = to_utf8({line->buffer, static_cast<size_t>(line->lastchar - line->buffer)});
  self.stop_ = Stop::interrupted;
  // What follows must not write over the rest of the line.
  const auto behind = static_cast<int>(line->lastchar - line->cursor);
  if (behind > 0) {
    el_cursor(editor, behind);
    el_wset(editor, EL_REFRESH);
  }
  return CC_EOF;
}

unsigned char LineEditor::on_suspend(EditLine* editor, int) {
  LineEditor& self = of(editor);
  el_wset(editor, EL_PREP_TERM, 0);
  self.keep_keys(false);  // not every shell mends the terminal
  std::fprintf(stderr, "%s\n", kPasteOff);
  std::fflush(stderr);
  ::kill(0, SIGTSTP);
  // Back again.
  self.keep_keys(true);
  take_terminal_change();
  self.back_from_background();
  return CC_NORM;
}

unsigned char LineEditor::on_newline(EditLine* editor, int) {
  return el_winsertstr(editor, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
}

unsigned char LineEditor::on_paste(EditLine* editor, int) {
  LineEditor& self = of(editor);
  std::string text;
  bool whole = true;
  while (!text.ends_with(kPasteEnd)) {
    const InputBytes::Got got = self.input_.next_byte();
    if (got.kind == InputBytes::Kind::changed) continue;
    // A paste whose end never comes must not take the keyboard with it.
    if (got.kind == InputBytes::Kind::signal || (got.kind == InputBytes::Kind::byte && got.byte == kCtrlC)) {
      return on_interrupt(editor, 0);
    }
    if (got.kind != InputBytes::Kind::byte) {
      self.stop_ = Stop::end;
      return CC_EOF;
    }
    // Beyond the limit only the end is looked for.
    whole = whole && text.size() < kMaxLineBytes;
    if (!whole) text.erase(0, text.size() - std::min(text.size(), kPasteEnd.size()));
    text += got.byte;
  }
  if (!whole) return CC_ERROR;
  text.resize(text.size() - kPasteEnd.size());
  const std::wstring shown = to_wide(self.pastes_.take(clean_paste(text)));
  return el_winsertstr(editor, shown.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

Result<Line> LineEditor::read(const std::string& prompt) {
  prompt_ = to_wide(prompt);
  stop_ = Stop::none;
  pastes_.clear();
  std::fflush(stdout);
  take_terminal_change();  // libedit looks at the terminal itself before the first key
  int count = 0;
  const wchar_t* text = el_wgets(editor_, &count);
  if (stop_ == Stop::interrupted || (stop_ == Stop::none && interrupted())) {
    note("^C");
    return Line{Line::Kind::interrupted, std::move(interrupted_text_)};
  }
  if (stop_ == Stop::end || text == nullptr || count <= 0) {
    note("");
    return Line{};
  }
  std::string line = to_utf8({text, static_cast<size_t>(count)});
  if (line.ends_with('\n')) line.pop_back();
  return Line{Line::Kind::text, pastes_.expand(line)};
}

void LineEditor::add_to_history(const std::string& entry) {
  HistEventW event;
  history_w(history_, &event, H_ENTER, to_wide(entry).c_str());
}

void LineEditor::remember(const std::string& entry) {
  // The arrow keys put an entry on the screen: a book does not belong there.
  if (entry.size() > kMaxHistoryEntryBytes) return;
  add_to_history(entry);
  append_history(entry);
}

}  // namespace

std::unique_ptr<LineSource> open_line_editor() {
  auto editor = std::make_unique<LineEditor>();
  if (!editor->open()) return nullptr;
  return editor;
}

}  // namespace headrace::cli
