// Which columns a group has, outliers left out. Where one thread has a row, as segments of neighbouring columns, along
// which loops vectorise; on a device as one list a group, which a team's lanes share however scattered its columns are.
#pragma once

#include <vector>

#include "halftone/backend/cpu.hpp"
#include "halftone/quant/quantized_matrix.hpp"

namespace halftone::tune {

/// Columns list[0 .. count).
struct ListedRun {
  const std::int32_t* list;
  Index count;
  HALFTONE_HOST_DEVICE Index operator[](Index k) const { return list[k]; }
};
/// Columns [first, first + count).
struct Segment {
  Index first, count;
  HALFTONE_HOST_DEVICE Index operator[](Index k) const { return first + k; }
};

/// What a kernel reads: the runs of columns of each group. Sums are taken over a run at a time.
template <class Backend>
struct GroupRuns {
  const Index* begin;  ///< [groups + 1] into `list`
  const std::int32_t* list;

  template <class Body>
  HALFTONE_HOST_DEVICE void each(Index group, Body&& body) const {
    if (begin[group] < begin[group + 1]) body(ListedRun{list + begin[group], begin[group + 1] - begin[group]});
  }
};
template <>
struct GroupRuns<Cpu> {
  const Index* begin;  ///< [groups + 1] into `segments`
  const Segment* segments;

  template <class Body>
  HALFTONE_HOST_DEVICE void each(Index group, Body&& body) const {
    const Index last = begin[group + 1];
    for (Index i = begin[group]; i < last; ++i) body(segments[i]);
  }
};

/// The columns of each group, ascending, outliers left out.
inline std::vector<std::vector<std::int32_t>> columns_by_group(const QuantizedMatrix& matrix) {
  std::vector<bool> outlier(static_cast<std::size_t>(matrix.cols()), false);
  for (const std::int32_t column : matrix.outliers.columns) outlier[static_cast<std::size_t>(column)] = true;
  std::vector<std::vector<std::int32_t>> columns(static_cast<std::size_t>(matrix.groups()));
  for (Index j = 0; j < matrix.cols(); ++j)
    if (!outlier[static_cast<std::size_t>(j)])
      columns[static_cast<std::size_t>(matrix.group_of(j))].push_back(static_cast<std::int32_t>(j));
  return columns;
}

/// Owns what GroupRuns reads, in the backend's memory.
template <class Backend>
class Columns {
 public:
  Columns(const Context<Backend>& context, const QuantizedMatrix& matrix) {
    using Run = std::conditional_t<std::is_same_v<Backend, Cpu>, Segment, std::int32_t>;
    std::vector<Index> begin{0};
    std::vector<Run> runs;
    for (const std::vector<std::int32_t>& columns : columns_by_group(matrix)) {
      append(columns, runs);
      begin.push_back(static_cast<Index>(runs.size()));
    }
    begin_ = context.upload(MatrixView<const Index>(begin.data(), 1, static_cast<Index>(begin.size())));
    runs_ = context.upload(MatrixView<const Run>(runs.data(), 1, static_cast<Index>(runs.size())));
  }
  GroupRuns<Backend> runs() const { return {begin_.data(), runs_.data()}; }

 private:
  static void append(const std::vector<std::int32_t>& columns, std::vector<std::int32_t>& list) {
    list.insert(list.end(), columns.begin(), columns.end());
  }
  static void append(const std::vector<std::int32_t>& columns, std::vector<Segment>& segments) {
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (i > 0 && columns[i] == columns[i - 1] + 1)
        ++segments.back().count;
      else
        segments.push_back({columns[i], 1});
  }

  typename Backend::template Matrix<Index> begin_;
  typename Backend::template Matrix<std::conditional_t<std::is_same_v<Backend, Cpu>, Segment, std::int32_t>> runs_;
};

}  // namespace halftone::tune
