#include "text/tokenizer_json.h"

#include <random>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "text/testing/small_vocabulary.h"

namespace headrace {
namespace {

using Json = nlohmann::ordered_json;
using Ids = std::vector<TokenId>;

const std::string kMark = "\xE2\x96\x81";

// "hello" and the 256 bytes, as GPT-2's tokenizer.json would have them.
Json byte_level() {
  Json json = Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
      {"id": 256, "content": "<|im_end|>", "special": true, "normalized": false},
      {"id": 257, "content": "<tool>", "special": false, "normalized": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "vocab": {},
              "merges": ["h e", ["l", "l"], "he ll", "hell o"]}})");
  const testing::SmallVocabulary small = testing::SmallVocabulary::byte_level();
  for (size_t i = 0; i < 256; ++i) json["model"]["vocab"][small.spec.tokens[i]] = i;
  size_t id = 258;
  for (const char* token : {"he", "ll", "hell", "hello"}) json["model"]["vocab"][token] = id++;
  return json;
}

Json gemma() {
  Json json = Json::parse(R"({
    "added_tokens": [
      {"id": 0, "content": "<unk>", "special": true, "normalized": false},
      {"id": 1, "content": "<bos>", "special": true, "normalized": false}],
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<bos>": {"id": "<bos>", "ids": [1], "tokens": ["<bos>"]}}},
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
              "vocab": {"<unk>": 0, "<bos>": 1}, "merges": []}})");
  Json& vocab = json["model"]["vocab"];
  for (unsigned byte = 0; byte < 256; ++byte) {
    vocab[byte == 9 ? std::string("\t") : fmt::format("<0x{:02X}>", byte)] = vocab.size();
  }
  for (const char* token : {"a", "b", "ab", "<b", "os>", "<", "o", "s", "s>", ">", "os"})
    vocab[token] = vocab.size();
  vocab[kMark] = vocab.size();
  vocab[kMark + "a"] = vocab.size();
  json["model"]["merges"] = Json::array();
  const std::pair<std::string, const char*> merges[] = {{kMark, "a"}, {"a", "b"},  {"<", "b"},
                                                        {"s", ">"},   {"o", "s>"}, {"<b", "os>"}};
  for (const auto& [left, right] : merges) json["model"]["merges"].push_back(Json::array({left, right}));
  return json;
}

Result<Tokenizer> load(const Json& json, std::string_view config = "", std::string_view chat_template = "") {
  return load_tokenizer_json("small", json.dump(), config, chat_template);
}

void expect_refused(const Json& json, Errc code, const std::vector<std::string>& said,
                    std::string_view config = "") {
  const auto refused = load(json, config);
  ASSERT_FALSE(refused) << said.front();
  EXPECT_EQ(refused.error().code, code) << refused.error().message;
  EXPECT_TRUE(refused.error().message.starts_with("small: tokenizer")) << refused.error().message;
  for (const std::string& part : said) {
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
  }
}

TEST(TokenizerJson, AByteLevelTokenizerIsRead) {
  const Tokenizer tokenizer = load(byte_level()).value();
  EXPECT_EQ(tokenizer.encode("hello<|im_end|>"), (Ids{261, 256}));
  EXPECT_EQ(tokenizer.encode("<tool>hell", {.special = false}), (Ids{257, 260}));
  EXPECT_EQ(tokenizer.encode("<|im_end|>", {.special = false}).size(), 10U);
  EXPECT_EQ(tokenizer.decode(Ids{261, 256}), "hello");
  EXPECT_TRUE(tokenizer.is_control(256));
  EXPECT_FALSE(tokenizer.is_control(257));
  EXPECT_TRUE(tokenizer.is_end_of_generation(256));
  EXPECT_EQ(tokenizer.bos(), std::nullopt);
}

TEST(TokenizerJson, MergesAreFollowedInTheirOrder) {
  Json json = byte_level();
  json["model"]["merges"] = {"l l", "he ll", "h e", "hell o"};
  EXPECT_EQ(load(json).value().encode("hello"), Ids{261});
  json["model"]["merges"] = {"he ll", "hell o", "l l"};
  EXPECT_EQ(load(json).value().encode("ll"), Ids{259});
  EXPECT_EQ(load(json).value().encode("hello").size(), 4U);
}

TEST(TokenizerJson, ACharacterTokenizerIsReadAndTextNeverMergesToAControlToken) {
  const Tokenizer tokenizer = load(gemma()).value();
  const TokenId mark_a = *tokenizer.find(kMark + "a");
  EXPECT_EQ(tokenizer.encode(" ab"), (Ids{1, mark_a, *tokenizer.find("b")}));  // the earlier merge wins
  EXPECT_EQ(tokenizer.encode("\t\xC3\xA9"),
            (Ids{1, *tokenizer.find("\t"), *tokenizer.find("<0xC3>"), *tokenizer.find("<0xA9>")}));
  EXPECT_EQ(tokenizer.encode("<bos>", {.special = false}),
            (Ids{1, *tokenizer.find("<b"), *tokenizer.find("os>")}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(" a\xC3\xA9\t b")), " a\xC3\xA9\t b");
  EXPECT_EQ(tokenizer.encode("a", {.bos = false}), Ids{*tokenizer.find("a")});
}

TEST(TokenizerJson, SpacesInFrontAreThoseOfTheNormalizerOrOfMetaspace) {
  Json json = gemma();
  json["decoder"]["decoders"].push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  json["added_tokens"].push_back(
      {{"id", 500}, {"content", "<t>"}, {"special", false}, {"normalized", false}});
  const auto ids = [&](const Json& variant, const char* text) {
    const Tokenizer tokenizer = load(variant).value();
    std::string shown;
    for (const TokenId id : tokenizer.encode(text, {.bos = false}))
      shown += std::string(tokenizer.spelling(id)) + "|";
    return shown;
  };
  const std::string mark = kMark + "|";
  const std::string marked_a = kMark + "a|";
  json["pre_tokenizer"] = nullptr;
  const Json replace = json["normalizer"];
  json["normalizer"] = {{"type", "Sequence"},
                        {"normalizers", {Json{{"type", "Prepend"}, {"prepend", kMark}}, replace}}};
  EXPECT_EQ(ids(json, "a<t>a"), marked_a + "<t>|" + marked_a);
  EXPECT_EQ(ids(json, " a"), mark + marked_a);

  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", kMark}, {"prepend_scheme", "first"}, {"split", false}};
  EXPECT_EQ(ids(json, "a<t>a"), marked_a + "<t>|a|");
  EXPECT_EQ(ids(json, "<t>a"), "<t>|a|");
  EXPECT_EQ(ids(json, " a"), marked_a);
  json["pre_tokenizer"]["prepend_scheme"] = "always";
  EXPECT_EQ(ids(json, "a<t>a"), marked_a + "<t>|" + marked_a);
  EXPECT_EQ(ids(json, " a"), marked_a);
  json["pre_tokenizer"]["prepend_scheme"] = "never";
  EXPECT_EQ(ids(json, "a<t>a"), "a|<t>|a|");
  EXPECT_EQ(load(json).value().decode(Ids{*load(json).value().find(kMark + "a")}), "a");
}

TEST(TokenizerJson, TheConfigurationNamesBeginningAndEnd) {
  const Tokenizer named =
      load(byte_level(), R"({"bos_token": null, "eos_token": {"content": "<tool>", "lstrip": false}})")
          .value();
  EXPECT_EQ(named.eos(), 257);
  EXPECT_TRUE(named.is_end_of_generation(257));
  // Llama's and Gemma's classes look at add_bos_token, others do not.
  const char* config =
      R"({"bos_token": "<bos>", "add_bos_token": false, "tokenizer_class": "GemmaTokenizerFast"})";
  EXPECT_EQ(load(gemma(), config).value().encode("b").size(), 1U);
  config = R"({"bos_token": "<bos>", "add_bos_token": false, "tokenizer_class": "PreTrainedTokenizerFast"})";
  EXPECT_EQ(load(gemma(), config).value().encode("b").size(), 2U);
  config = R"({"eos_token": "<tool>", "add_eos_token": true, "tokenizer_class": "LlamaTokenizer"})";
  EXPECT_EQ(load(byte_level(), config).value().encode("hello"), (Ids{261, 257}));
}

TEST(TokenizerJson, FurtherTokensMayEndAnAnswer) {
  const std::vector<TokenId> ends = {257, 3};
  const Tokenizer tokenizer = load_tokenizer_json("small", byte_level().dump(), "", "", ends).value();
  EXPECT_TRUE(tokenizer.is_end_of_generation(257));
  EXPECT_TRUE(tokenizer.is_end_of_generation(3));
  EXPECT_FALSE(tokenizer.is_control(257));
  for (const TokenId outside : {-1, 262}) {
    EXPECT_FALSE(load_tokenizer_json("small", byte_level().dump(), "", "", std::vector<TokenId>{outside}));
  }
}

TEST(TokenizerJson, TheChatTemplateIsTheFileOrTheConfigurationsDefault) {
  const std::string one = R"({"chat_template": "one"})";
  const std::string many =
      R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})";
  EXPECT_EQ(load(byte_level(), one).value().chat_template(), "one");
  EXPECT_EQ(load(byte_level(), many).value().chat_template(), "d");
  EXPECT_EQ(load(byte_level(), one, "file").value().chat_template(), "file");
  EXPECT_EQ(load(byte_level(), "{}").value().chat_template(), "");
  expect_refused(byte_level(), Errc::bad_model,
                 {"tokenizer_config.json: chat_template: expected a string, found number"},
                 R"({"chat_template": 5})");
}

TEST(TokenizerJson, GapsBetweenIdsAreTokensThatNeverOccur) {
  Json json = byte_level();
  json["added_tokens"].push_back(
      {{"id", 300}, {"content", "<late>"}, {"special", true}, {"normalized", false}});
  const Tokenizer tokenizer = load(json).value();
  EXPECT_EQ(tokenizer.vocab_size(), 301U);
  EXPECT_EQ(tokenizer.encode("<late>"), Ids{300});
  EXPECT_EQ(tokenizer.decode(Ids{290, 261}), "hello");
}

struct Broken {
  std::string pointer;
  Json value;
  Errc code;
  std::vector<std::string> said;
};

TEST(TokenizerJson, StagesThatAreNotKnownAreRefusedByTheirPlace) {
  const Broken cases[] = {
      {"/model/type", "Unigram", Errc::unsupported, {"tokenizer.json: model.type: \"Unigram\"", "\"BPE\""}},
      {"/normalizer", Json{{"type", "Lowercase"}}, Errc::unsupported, {"normalizer: \"Lowercase\"", "NFC"}},
      {"/normalizer",
       Json{{"type", "Sequence"}, {"normalizers", Json::array({Json{{"type", "NFKC"}}})}},
       Errc::unsupported,
       {"normalizer.normalizers[0]: \"NFKC\""}},
      {"/normalizer",
       Json{{"type", "Prepend"}, {"prepend", kMark}},
       Errc::unsupported,
       {"normalizer:", "only NFC"}},
      {"/pre_tokenizer",
       Json{{"type", "Whitespace"}},
       Errc::unsupported,
       {"pre_tokenizer: \"Whitespace\"", "Llama 3"}},
      {"/pre_tokenizer/add_prefix_space", true, Errc::unsupported, {"pre_tokenizer.add_prefix_space: true"}},
      {"/pre_tokenizer",
       Json{{"type", "Sequence"},
            {"pretokenizers",
             {Json{{"type", "Split"}, {"pattern", {{"Regex", "\\d"}}}, {"behavior", "Isolated"}},
              Json{{"type", "ByteLevel"}, {"add_prefix_space", false}}}}},
       Errc::unsupported,
       {"pre_tokenizer.pretokenizers[0].pattern.Regex: ", "supported are"}},
      {"/decoder", nullptr, Errc::unsupported, {"decoder: "}},
      {"/decoder", Json{{"type", "WordPiece"}}, Errc::unsupported, {"decoder: \"WordPiece\""}},
      {"/post_processor",
       Json{{"type", "BertProcessing"}},
       Errc::unsupported,
       {"post_processor: \"BertProcessing\""}},
      {"/model/dropout", 0.1, Errc::unsupported, {"model.dropout: "}},
      {"/model/end_of_word_suffix", "</w>", Errc::unsupported, {"model.end_of_word_suffix: "}},
      {"/model/byte_fallback", true, Errc::unsupported, {"model.byte_fallback: "}},
  };
  for (const Broken& c : cases) {
    Json json = byte_level();
    json[Json::json_pointer(c.pointer)] = c.value;
    expect_refused(json, c.code, c.said);
  }
}

TEST(TokenizerJson, WhatContradictsItselfIsRefusedByItsPlace) {
  const Broken cases[] = {
      {"/model", 5, Errc::bad_model, {"model: expected an object, found number"}},
      {"/model/vocab", nullptr, Errc::bad_model, {"model.merges[0]: \"h\" is not in model.vocab"}},
      {"/model/vocab", Json::array(), Errc::bad_model, {"model.vocab: expected an object, found array"}},
      {"/model/vocab/he", "x", Errc::bad_model, {"model.vocab[\"he\"]: expected an id, found a string"}},
      {"/model/vocab/he", -1, Errc::bad_model, {"model.vocab[\"he\"]: expected an id from 0 to", "found -1"}},
      {"/model/vocab/he", 1.5, Errc::bad_model, {"model.vocab[\"he\"]: expected an id, found a fraction"}},
      {"/model/vocab/he",
       uint64_t{1} << 63,
       Errc::bad_model,
       {"model.vocab[\"he\"]: expected an id from 0 to"}},
      {"/model/vocab/he",
       kMaxTokenizerJsonTokens,
       Errc::bad_model,
       {"model.vocab[\"he\"]: expected an id from 0 to"}},
      {"/model/vocab/he", 259, Errc::bad_model, {"model.vocab: id 259 of \"ll\" is also that of \"he\""}},
      {"/model/merges", 5, Errc::bad_model, {"model.merges: expected an array, found number"}},
      {"/model/merges", Json::array(), Errc::bad_model, {"model.merges: there are none"}},
      {"/model/merges/2", "hell", Errc::bad_model, {"model.merges[2]: expected two tokens, found \"hell\""}},
      {"/model/merges/2", "h e l", Errc::bad_model, {"model.merges[2]: expected two tokens"}},
      {"/model/merges/2", 5, Errc::bad_model, {"model.merges[2]: expected two tokens, found a number"}},
      {"/model/merges/2",
       Json::array({"he"}),
       Errc::bad_model,
       {"model.merges[2]: expected two tokens, found 1 strings"}},
      {"/model/merges/2",
       Json::array({"h", "e", "l"}),
       Errc::bad_model,
       {"model.merges[2]: expected two tokens, found more"}},
      {"/model/merges/2",
       Json::array({"h", 5}),
       Errc::bad_model,
       {"model.merges[2]: expected two tokens, found a number"}},
      {"/model/merges/2",
       Json::array({"h", Json::array()}),
       Errc::bad_model,
       {"model.merges[2]: expected two tokens, found an array"}},
      {"/model/merges/2", "he xx", Errc::bad_model, {"model.merges[2]: \"xx\" is not in model.vocab"}},
      {"/model/merges/2", "ll he", Errc::bad_model, {"model.merges[2]: \"llhe\" is not in model.vocab"}},
      {"/model/unk_token", "<nope>", Errc::bad_model, {"model.unk_token: \"<nope>\" is not a token"}},
      {"/added_tokens", "x", Errc::bad_model, {"added_tokens: expected an array, found string"}},
      {"/added_tokens/1", 5, Errc::bad_model, {"added_tokens[1].id: expected an integer, found none"}},
      {"/added_tokens/1/id",
       256,
       Errc::bad_model,
       {"added_tokens[1]: id 256 of \"<tool>\" is also that of \"<|im_end|>\""}},
      {"/added_tokens/1/id",
       uint64_t{1} << 40,
       Errc::bad_model,
       {"added_tokens[1].id: expected an id from 0 to"}},
      {"/added_tokens/1/content",
       "hello",
       Errc::bad_model,
       {"added_tokens[1].id: \"hello\" has the id 257, but 261 before"}},
      {"/added_tokens/1/content", "<|im_end|>", Errc::bad_model, {"added_tokens[1].id: "}},
      {"/added_tokens/1/content", "", Errc::unsupported, {"added_tokens[1].content: 0 bytes"}},
      {"/added_tokens/1/lstrip",
       1,
       Errc::bad_model,
       {"added_tokens[1].lstrip: expected true or false, found number"}},
      {"/pre_tokenizer", 5, Errc::bad_model, {"pre_tokenizer: expected an object"}},
      {"/pre_tokenizer/type", 5, Errc::bad_model, {"pre_tokenizer.type: expected a string"}},
  };
  for (const Broken& c : cases) {
    Json json = byte_level();
    json[Json::json_pointer(c.pointer)] = c.value;
    expect_refused(json, c.code, c.said);
  }
  expect_refused(gemma(), Errc::bad_model,
                 {"tokenizer_config.json: bos_token: \"<s>\" is not a token of tokenizer.json"},
                 R"({"bos_token": "<s>"})");
  expect_refused(gemma(), Errc::unsupported, {"tokenizer_config.json: bos_token: is token 0", "adds 1"},
                 R"({"bos_token": "<unk>"})");
}

TEST(TokenizerJson, BrokenAndDoubledJsonIsRefusedByItsPlace) {
  const auto said = [](std::string_view text) {
    const auto refused = load_tokenizer_json("small", text, "", "");
    return refused ? std::string("read") : refused.error().message;
  };
  EXPECT_EQ(said(""), "small: tokenizer.json: not valid JSON at byte 1");
  EXPECT_EQ(said("{\"a\": 1,}"), "small: tokenizer.json: not valid JSON at byte 9");
  EXPECT_EQ(said("{\"a\": \"\xFF\"}"), "small: tokenizer.json: not valid JSON at byte 8");
  EXPECT_EQ(said("[]"), "small: tokenizer.json: expected an object, found array");
  EXPECT_EQ(said("{\"a\": {\"b\": 1, \"b\": 2}}"), "small: tokenizer.json: a.b: is there twice");
  EXPECT_EQ(said("{\"a\": [{\"b\": 1}, {\"b\": 1, \"b\": 2}]}"),
            "small: tokenizer.json: a[1].b: is there twice");
  EXPECT_EQ(said("{\"model\": {\"vocab\": {}, \"vocab\": {}}}"),
            "small: tokenizer.json: model.vocab: is there twice");
  EXPECT_EQ(said("{\"model\": {\"merges\": [], \"merges\": 5}}"),
            "small: tokenizer.json: model.merges: is there twice");
  const std::string doubled = byte_level().dump();
  const size_t at = doubled.find("\"he\":258");
  EXPECT_EQ(said(doubled.substr(0, at) + "\"he\":400," + doubled.substr(at)),
            "small: tokenizer.json: model.vocab: \"he\" is there twice");
}

TEST(TokenizerJson, LimitsAreKept) {
  const auto code = [](const std::string& text) {
    return load_tokenizer_json("small", text, "", "").error().code;
  };
  const auto repeated = [](std::string_view part, size_t n) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += part;
    return text;
  };
  EXPECT_EQ(code("{\"a\":" + repeated("[", kMaxTokenizerJsonDepth + 1)), Errc::out_of_budget);
  EXPECT_EQ(code("{\"a\":" + std::string(1'000'000, '[')), Errc::out_of_budget);
  EXPECT_EQ(code("{\"a\":[" + repeated("0,", kMaxTokenizerJsonValues + 1)), Errc::out_of_budget);
  EXPECT_EQ(code("{\"model\":{\"vocab\":{" + repeated("\"\":0,", kMaxTokenizerJsonTokens + 1)),
            Errc::out_of_budget);
  EXPECT_EQ(code("{\"model\":{\"merges\":[" + repeated("\"a b\",", kMaxTokenizerJsonMerges + 1)),
            Errc::out_of_budget);
  EXPECT_EQ(code("{\"model\":{\"merges\":[" + repeated("[\"a\",\"b\"],", kMaxTokenizerJsonMerges + 1)),
            Errc::out_of_budget);
}

TEST(TokenizerJson, DamagedFilesNeverCrash) {
  const std::string whole[] = {byte_level().dump(), gemma().dump()};
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string text = whole[round % 2];
    for (int change = 0; change < 1 + round % 3; ++change) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text.resize(at + 1);
          break;
        case 1:
          text[at] = static_cast<char>(random());
          break;
        case 2:
          text.erase(at, 1 + random() % 20);
          if (text.empty()) text = "{";
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 30));
      }
    }
    const auto loaded = load_tokenizer_json("small", text, round % 5 == 0 ? text : "", "");
    if (!loaded) {
      EXPECT_FALSE(loaded.error().message.empty());
      EXPECT_LT(loaded.error().message.size(), 2000U);
    } else {
      loaded->decode(loaded->encode("hello <bos> a\xC3\xA9\t"));
    }
  }
}

}  // namespace
}  // namespace headrace
