// Memory of large matrices: when it is kept, for whom, and how much of it.
#include "halftone/core/memory.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "halftone/core/matrix.hpp"

using namespace halftone;
using detail::BlockStore;

namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20;

/// Takes a block and writes all over it.
void* take(std::size_t& bytes) {
  void* const memory = detail::take_memory(bytes);
  std::memset(memory, 0x5a, bytes);
  return memory;
}
void* take_exactly(std::size_t bytes) {
  std::size_t got = bytes;
  void* const memory = take(got);
  CHECK(got == bytes);
  return memory;
}

}  // namespace

TEST_CASE("memory: a freed block is the next of its size, and of up to a sixteenth less") {
  const KeepMemory keep;
  void* const first = take_exactly(16 * megabyte);
  detail::release_memory(first, 16 * megabyte);
  CHECK(take_exactly(16 * megabyte) == first);
  detail::release_memory(first, 16 * megabyte);

  std::size_t bytes = 15 * megabyte + megabyte / 2;
  CHECK(take(bytes) == first);
  CHECK(bytes == 16 * megabyte);  // what must be given back
  detail::release_memory(first, bytes);

  bytes = 15 * megabyte;  // a fifteenth less
  void* const other = take(bytes);
  CHECK(bytes == 15 * megabyte);
  detail::release_memory(other, bytes);
}

TEST_CASE("memory: of blocks that differ little the youngest that is large enough is taken, and each once") {
  const KeepMemory keep;
  void* const large = take_exactly(16 * megabyte + 4096);
  void* const small = take_exactly(16 * megabyte);
  detail::release_memory(large, 16 * megabyte + 4096);
  detail::release_memory(small, 16 * megabyte);
  std::size_t bytes = 16 * megabyte;
  CHECK(take(bytes) == small);
  CHECK(bytes == 16 * megabyte);
  detail::release_memory(small, bytes);
  bytes = 16 * megabyte + 1;
  CHECK(take(bytes) == large);
  CHECK(bytes == 16 * megabyte + 4096);
  std::size_t more = 16 * megabyte + 1;
  void* const third = take(more);
  CHECK(more == 16 * megabyte + 1);
  detail::release_memory(large, bytes);
  detail::release_memory(third, more);
}

TEST_CASE("memory: sizes around every power of two and sixteenth of it come back whole") {
  const KeepMemory keep;
  detail::release_memory(take_exactly(40 * megabyte), 40 * megabyte);  // room for all that is kept below
  for (std::size_t octave = detail::large_block; octave <= 4 * megabyte; octave *= 2)
    for (std::size_t sixteenth = 0; sixteenth < 16; ++sixteenth)
      for (const std::size_t size : {octave + sixteenth * octave / 16, octave + (sixteenth + 1) * octave / 16 - 1}) {
        std::size_t bytes = size;
        void* const memory = take(bytes);
        CHECK(bytes >= size);
        CHECK(bytes - size <= size / 16);
        detail::release_memory(memory, bytes);
        std::size_t again = size;
        CHECK(take(again) == memory);
        CHECK(again == bytes);
        detail::release_memory(memory, again);
      }
}

TEST_CASE("memory: kept and used together are a sixteenth more than was used at once, never more") {
  BlockStore& store = BlockStore::of_process();
  REQUIRE(store.in_use() == 0);
  const KeepMemory keep;
  std::vector<void*> blocks;
  for (std::size_t i = 1; i <= 4; ++i) blocks.push_back(take_exactly(4 * i * megabyte));
  for (std::size_t i = 1; i <= 4; ++i) detail::release_memory(blocks[i - 1], 4 * i * megabyte);
  CHECK(store.kept() == 40 * megabyte);
  void* const large = take_exactly(28 * megabyte);  // leaves room for 14.5: the largest goes, then what is just enough
  CHECK(store.kept() == 12 * megabyte);
  CHECK(store.in_use() == 28 * megabyte);
  void* const larger = take_exactly(48 * megabyte);  // 76 in use, room for 4.75
  CHECK(store.kept() == 4 * megabyte);
  detail::release_memory(larger, 48 * megabyte);
  detail::release_memory(large, 28 * megabyte);
  CHECK(store.kept() == 80 * megabyte);
  CHECK(store.in_use() == 0);
  detail::release_memory(take_exactly(2 * megabyte), 2 * megabyte);  // a small one has to go, and no more than it
  CHECK(store.kept() == 78 * megabyte);
}

TEST_CASE("memory: nothing is kept where nobody asks for it, and all goes back with the last who did") {
  BlockStore& store = BlockStore::of_process();
  detail::release_memory(take_exactly(megabyte), megabyte);
  CHECK(store.kept() == 0);
  std::optional<KeepMemory> one(std::in_place), two(std::in_place);
  void* const outlives = take_exactly(megabyte);
  detail::release_memory(take_exactly(2 * megabyte), 2 * megabyte);
  one.reset();
  CHECK(store.kept() == 2 * megabyte);
  two.reset();
  CHECK(store.kept() == 0);
  detail::release_memory(outlives, megabyte);
  CHECK(store.kept() == 0);
}

TEST_CASE("memory: small blocks are the system's, and too large ones an error that frees what is kept") {
  BlockStore& store = BlockStore::of_process();
  const KeepMemory keep;
  const std::size_t used = store.in_use();
  void* const small = take_exactly(detail::large_block - 1);
  CHECK(store.in_use() == used);
  detail::release_memory(small, detail::large_block - 1);
  CHECK(store.kept() == 0);

  detail::release_memory(take_exactly(megabyte), megabyte);
  std::size_t impossible = std::size_t{1} << 60;
  CHECK_THROWS_AS(detail::take_memory(impossible), std::bad_alloc);
  CHECK(store.in_use() == used);
}

TEST_CASE("memory: matrices of several threads do not meet in one block") {
  const KeepMemory keep;
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t, &wrong] {
      for (int round = 0; round < 50; ++round) {
        Matrix<int> mine(256 + t % 2, 512, t * 1000 + round);
        Matrix<int> moved = std::move(mine);
        for (Index i = 0; i < moved.size(); ++i)
          wrong[static_cast<std::size_t>(t)] += moved.data()[i] != t * 1000 + round;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}
