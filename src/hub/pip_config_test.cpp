#include "hub/pip_config.h"

#include <gtest/gtest.h>

#include <map>

#include "hub/testing/wheels.h"

namespace headrace {
namespace {

class PipConfigTest : public ::testing::Test {
 protected:
  void put(const std::string& file, const std::string& text) {
    const std::filesystem::path path = folder_.path() / file;
    std::filesystem::create_directories(path.parent_path());
    testing::write_file(path, text);
  }
  Result<PipConfig> read() {
    const Environment environment = [this](const char* name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    };
    return read_pip_config(environment, folder_.path());
  }
  std::vector<std::string> indexes() {
    std::vector<std::string> addresses;
    const PipConfig config = read().value();
    for (const Url& url : config.indexes) addresses.push_back(url.address());
    return addresses;
  }
  using List = std::vector<std::string>;

  testing::TemporaryFolder folder_;
  std::map<std::string, std::string> variables_ = {{"HOME", (folder_.path() / "home").string()}};
};

TEST_F(PipConfigTest, WithoutAnyConfigurationIsThePublicIndex) {
  EXPECT_EQ(indexes(), List{"https://pypi.org/simple/"});
  EXPECT_TRUE(read().value().ca_bundle.empty());
}

TEST_F(PipConfigTest, NearerFilesOverrideFartherOnes) {
  put("etc/xdg/pip/pip.conf", "[global]\nindex-url = http://xdg/\n");
  EXPECT_EQ(indexes(), List{"http://xdg/"});
  put("etc/pip.conf", "[global]\nindex-url = http://etc/\n");
  EXPECT_EQ(indexes(), List{"http://etc/"});
  put("home/.pip/pip.conf", "[global]\nindex-url = http://legacy/\n");
  EXPECT_EQ(indexes(), List{"http://legacy/"});
  put("home/.config/pip/pip.conf", "[global]\nindex-url = http://user/\n");
  EXPECT_EQ(indexes(), List{"http://user/"});
  put("chosen.conf", "[global]\nindex-url = http://chosen/\n");
  variables_["PIP_CONFIG_FILE"] = (folder_.path() / "chosen.conf").string();
  EXPECT_EQ(indexes(), List{"http://chosen/"});
  variables_["PIP_INDEX_URL"] = "http://variable/";
  EXPECT_EQ(indexes(), List{"http://variable/"});
}

TEST_F(PipConfigTest, SectionsOfCommandsOverrideTheGlobalOneOfANearerFile) {
  put("etc/pip.conf", "[install]\nindex-url = http://install/\n");
  put("home/.config/pip/pip.conf", "[global]\nindex-url = http://global/\n[list]\nindex-url = http://no/\n");
  EXPECT_EQ(indexes(), List{"http://install/"});
  put("home/.pip/pip.conf", "[download]\nindex-url = http://download/\n");
  EXPECT_EQ(indexes(), List{"http://download/"});
}

TEST_F(PipConfigTest, ReadsTheDialectOfThatFile) {
  put("etc/pip.conf",
      "# index-url = http://comment/\n[global]\n; another\nIndex_URL: http://main/\nextra-index-url =\n"
      "    http://one/\n    # not this\n\thttp://two/  http://three/\r\ncert = /certs/ca.pem\nnonsense\n");
  EXPECT_EQ(indexes(), (List{"http://main/", "http://one/", "http://two/", "http://three/"}));
  EXPECT_EQ(read().value().ca_bundle, "/certs/ca.pem");
}

TEST_F(PipConfigTest, DevNullMeansNoFile) {
  put("etc/pip.conf", "[global]\nindex-url = http://etc/\n");
  variables_["PIP_CONFIG_FILE"] = "/dev/null";
  EXPECT_EQ(indexes(), List{"https://pypi.org/simple/"});
}

TEST_F(PipConfigTest, NoIndexLeavesNone) {
  variables_["PIP_NO_INDEX"] = "1";
  EXPECT_EQ(indexes(), List{});
  variables_["PIP_NO_INDEX"] = "false";
  EXPECT_EQ(indexes().size(), 1u);
}

TEST_F(PipConfigTest, CertificatesOfPipComeBeforeThoseOfOthers) {
  variables_["SSL_CERT_FILE"] = "/ssl.pem";
  EXPECT_EQ(read().value().ca_bundle, "/ssl.pem");
  variables_["PIP_CERT"] = "/pip.pem";
  EXPECT_EQ(read().value().ca_bundle, "/pip.pem");
}

TEST_F(PipConfigTest, ABadIndexIsNamedBySettingNotByValue) {
  variables_["PIP_EXTRA_INDEX_URL"] = "ftp://user:secret@host/";
  const Result<PipConfig> config = read();
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Errc::usage);
  EXPECT_NE(config.error().message.find("extra-index-url"), std::string::npos);
  EXPECT_EQ(config.error().message.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace headrace
