// http(s) addresses whose passwords stay out of messages.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace headrace {

class Url {
 public:
  /// Takes an absolute http or https address. Fails with usage; the message never repeats a text that may
  /// hold a password.
  static Result<Url> parse(std::string_view text);

  /// `reference` as a link found on this page. Credentials go along only to the same scheme, host and port.
  Result<Url> resolve(std::string_view reference) const;

  /// This address with `name` as one more folder, whether or not it ends in "/".
  Result<Url> folder(std::string_view name) const;

  /// For requests: without credentials and fragment.
  const std::string& address() const { return address_; }
  /// For people: also without the query, which may be a signature.
  std::string display() const;
  /// The last segment of the path, percent-decoded.
  const std::string& file_name() const { return file_name_; }
  /// After the "#", or empty.
  const std::string& fragment() const { return fragment_; }
  bool is_https() const { return scheme_ == "https"; }
  const std::string& user() const { return user_; }
  const std::string& password() const { return password_; }

 private:
  static Result<Url> from_handle(void* curl_url);
  bool same_origin(const Url& other) const;

  std::string address_;
  std::string scheme_, host_, port_, path_;
  std::string file_name_;
  std::string fragment_;
  std::string user_, password_;
};

}  // namespace headrace
