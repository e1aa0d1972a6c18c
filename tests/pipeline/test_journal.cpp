// The journal under torn writes, other runs and two writers; the output folder's rules; hashes.
#include <catch2/catch.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "pipeline/journal.hpp"
#include "pipeline/output_folder.hpp"
#include "pipeline/xxh64.hpp"

using namespace halftone;
using namespace halftone::test;
using nlohmann::json;

namespace {

const json fingerprint = {{"model", {{"config", "aa"}}}, {"recipe", {{"methods", {{"gptq", {{{"bits", 3}}}}}}}}};

JournalBlock block_of(Index index) {
  LayerReport layer;
  layer.module = concat("layers.", index);
  layer.method = "gptq";
  layer.bits = 3;
  layer.solve.relative_error = 0.1 + 1e-17 * static_cast<double>(index);
  layer.solve.notes = {"damping raised"};
  return {index, hex(static_cast<std::uint64_t>(index)), {layer, layer}};
}

void write_blocks(const std::filesystem::path& file, Index count) {
  Journal journal(file, fingerprint);
  for (auto i = static_cast<Index>(journal.blocks().size()); i < count; ++i) journal.append(block_of(i));
}

}  // namespace

TEST_CASE("XXH64 gives the specification's values") {
  const auto hash = [](std::string_view text, std::uint64_t seed = 0) {
    return xxh64(std::as_bytes(std::span<const char>(text.data(), text.size())), seed);
  };
  CHECK(hash("") == 0xEF46DB3751D8E999u);
  CHECK(hash("a") == 0xD24EC4F1A98C6E5Bu);
  CHECK(hash("abc") == 0x44BC2CF5AD770999u);
  CHECK(hash("Nobody inspects the spammish repetition") == 0xFBCEA83C8A378BF1u);  // 39 bytes: lanes and every tail
  CHECK(hash("abc", 1) != hash("abc"));
}

TEST_CASE("a tree hash does not depend on threads and sees every byte") {
  std::vector<std::byte> bytes((std::size_t{9} << 20) + 3, std::byte{7});
  const std::uint64_t hash = tree_hash(1, bytes);
  CHECK(tree_hash(3, bytes) == hash);
  for (std::size_t at : {std::size_t{0}, std::size_t{5} << 20, bytes.size() - 1}) {
    bytes[at] ^= std::byte{1};
    CHECK(tree_hash(2, bytes) != hash);
    bytes[at] ^= std::byte{1};
  }
}

TEST_CASE("a journal gives back what was recorded") {
  const TemporaryFolder folder;
  write_blocks(folder / "journal", 3);
  const Journal journal(folder / "journal", fingerprint);
  REQUIRE(journal.blocks().size() == 3);
  const LayerReport& layer = journal.blocks()[2].layers[1];
  CHECK(layer.module == "layers.2");
  CHECK(layer.solve.relative_error == block_of(2).layers[1].solve.relative_error);
  CHECK(layer.solve.notes == std::vector<std::string>{"damping raised"});
}

TEST_CASE("a journal that a crash cut anywhere keeps its whole lines and goes on") {
  const TemporaryFolder folder;
  write_blocks(folder / "whole", 3);
  const std::string whole = slurp(folder / "whole");
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; (at = whole.find('\n', at)) != std::string::npos; ++at) ends.push_back(at + 1);
  REQUIRE(ends.size() == 4);
  for (std::size_t cut = 0; cut <= whole.size(); cut += 1 + cut % 7) {
    put(folder / "cut", whole.substr(0, cut));
    std::size_t expected = 0;
    while (expected < 3 && ends[expected + 1] <= cut) ++expected;
    {
      const Journal journal(folder / "cut", fingerprint);
      REQUIRE(journal.blocks().size() == (cut < ends[0] ? 0 : expected));
    }
    write_blocks(folder / "cut", 3);
    REQUIRE(slurp(folder / "cut") == whole);
  }
}

TEST_CASE("a line of the journal that is damaged ends it") {
  const TemporaryFolder folder;
  write_blocks(folder / "journal", 3);
  std::string text = slurp(folder / "journal");
  const std::size_t second = text.find("layers.1");
  text[second + 7] = '9';
  put(folder / "journal", text);
  const Journal journal(folder / "journal", fingerprint);
  CHECK(journal.blocks().size() == 1);
}

TEST_CASE("a journal forgets blocks from one on") {
  const TemporaryFolder folder;
  for (std::size_t keep : {std::size_t{0}, std::size_t{2}, std::size_t{3}, std::size_t{9}}) {
    write_blocks(folder / "journal", 3);
    const std::string whole = slurp(folder / "journal");
    Journal(folder / "journal", fingerprint).keep_first(keep);
    CHECK(Journal(folder / "journal", fingerprint).blocks().size() == std::min<std::size_t>(keep, 3));
    write_blocks(folder / "journal", 3);
    CHECK(slurp(folder / "journal") == whole);
  }
}

TEST_CASE("a journal of another run is refused and says what differs") {
  const TemporaryFolder folder;
  write_blocks(folder / "journal", 1);
  const std::string before = slurp(folder / "journal");
  json other = fingerprint;
  other["recipe"]["methods"]["gptq"][0]["bits"] = 4;
  expect_error(Status::Conflict, {"/recipe/methods/gptq/0/bits", "3 there", "4 here"},
               [&] { Journal journal(folder / "journal", other); });
  CHECK(slurp(folder / "journal") == before);
  CHECK(first_difference(fingerprint, fingerprint).empty());
  CHECK(first_difference({{"a", 1}}, json::object()) == "/a is 1 there and absent here");
  CHECK(first_difference(json::object(), {{"a", 1}}) == "/a is absent there and 1 here");
  CHECK(first_difference(json::array({1}), json::array({1, 2})) == " is [1] there and [1,2] here");
}

TEST_CASE("a journal has one writer") {
  const TemporaryFolder folder;
  const Journal first(folder / "journal", fingerprint);
  expect_error(Status::Conflict, {"another process"}, [&] { Journal second(folder / "journal", fingerprint); });
}

TEST_CASE("an output folder is new or empty, and appears at once") {
  const TemporaryFolder root;
  const auto out = root / "out";
  {
    const OutputFolder folder(out, false);
    folder.create();
    put(folder.staging() / "file", "text");
    CHECK_FALSE(std::filesystem::exists(out));
    expect_error(Status::Conflict, {"out.partial", "killed", "remove"}, [&] { OutputFolder again(out, false); });
    put(folder.journal(), "{}");
    expect_error(Status::Conflict, {"out.partial", "--resume"}, [&] { OutputFolder again(out, false); });
    CHECK(OutputFolder(out, true).resumed());
    folder.publish();
  }
  CHECK(slurp(out / "file") == "text");
  CHECK_FALSE(std::filesystem::exists(root / "out.partial"));
  CHECK(folder_bytes(out) == 4);
  expect_error(Status::Conflict, {"not empty"}, [&] { OutputFolder again(out, true); });
  std::filesystem::remove(out / "file");
  const OutputFolder vacant(out.string() + "/", false);  // an empty folder, with a slash behind its name
  CHECK(vacant.final_path() == std::filesystem::canonical(out));
  vacant.create();
  vacant.publish();
  CHECK(std::filesystem::is_empty(out));
}

TEST_CASE("an output folder that something else filled meanwhile is not touched") {
  const TemporaryFolder root;
  const OutputFolder folder(root / "out", false);
  folder.create();
  put(folder.staging() / "file", "ours");
  std::filesystem::create_directory(root / "out");
  put(root / "out/file", "theirs");
  expect_error(Status::Conflict, {"out.partial/output"}, [&] { folder.publish(); });
  CHECK(slurp(root / "out/file") == "theirs");
  CHECK(slurp(folder.staging() / "file") == "ours");
}

TEST_CASE("an output folder knows a run that was killed after its last rename") {
  const TemporaryFolder root;
  const OutputFolder folder(root / "out", false);
  folder.create();
  put(folder.journal(), "{}");
  put(folder.staging() / "file", "text");
  std::filesystem::rename(folder.staging(), root / "out");
  const OutputFolder again(root / "out", true);
  CHECK(again.complete());
  again.remove_partial();
  CHECK_FALSE(std::filesystem::exists(root / "out.partial"));
  expect_error(Status::Conflict, {"not empty"}, [&] { OutputFolder once_more(root / "out", false); });
}

TEST_CASE("an output folder that cannot be") {
  const TemporaryFolder root;
  expect_error(Status::NotFound, {"missing"}, [&] { OutputFolder folder(root / "missing/out", false); });
  put(root / "file", "text");
  expect_error(Status::Conflict, {"file"}, [&] { OutputFolder folder(root / "file", false); });
  expect_error(Status::InvalidArgument, {"empty"}, [&] { OutputFolder folder("", false); });
}
