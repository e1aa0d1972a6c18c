// Fine-tuning on the device: what trainable quantisers (src/tune/) make of their parameters and of gradients, and what
// an optimiser does to them. A team shares a group of a row; what is stored once a group is a kernel of elements.
// Everything is read and written once, and bound by those bytes.
#include "launch.cuh"
#include "tune/cuda_rows.hpp"

namespace halftone::tune {
namespace {

/// Unit of work: row · groups + group.
template <class Rows>
struct StartGroup {
  static constexpr int lanes = 32;
  Rows rows;
  Index groups;
  MatrixView<const float> target;
  float margin;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index unit) const {
    const Index r = unit / groups;
    rows.start(team, r, unit - r * groups, target.row(r), margin);
  }
};

template <class Rows>
struct EncodeGroup {
  static constexpr int lanes = 32;
  Rows rows;
  Index groups;
  MatrixView<float> W;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index unit) const {
    const Index r = unit / groups;
    rows.encode(team, r, unit - r * groups, W.data == nullptr ? nullptr : W.row(r));
  }
};

template <class Rows>
struct AddGroup {
  static constexpr int lanes = 32;
  Rows rows;
  Index groups;
  MatrixView<const float> dW;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index unit) const {
    const Index r = unit / groups;
    rows.add(team, r, unit - r * groups, dW.row(r));
  }
};

/// Elements are the grids [rows, groups].
template <class Rows>
struct BeginGrid {
  Rows rows;
  HALFTONE_HOST_DEVICE void operator()(Index r, Index g) const { rows.begin_group(r, g); }
};
template <class Rows>
struct EncodeGrid {
  Rows rows;
  HALFTONE_HOST_DEVICE void operator()(Index r, Index g) const { rows.encode_group(r, g); }
};

/// Elements are the numbers in outlier columns [rows, columns].
struct EncodeOutlier {
  OutlierRows outliers;
  MatrixView<float> W;
  HALFTONE_HOST_DEVICE void operator()(Index r, Index k) const {
    outliers.encode(r, k, W.data == nullptr ? nullptr : W.row(r));
  }
};
struct AddOutlier {
  OutlierRows outliers;
  MatrixView<const float> dW;
  HALFTONE_HOST_DEVICE void operator()(Index r, Index k) const { outliers.add(r, k, dW.row(r)); }
};

template <class Step>
struct StepElement {
  Step step;
  HALFTONE_HOST_DEVICE void operator()(Index, Index i) const { step(i); }
};

}  // namespace

template <class Rows>
void start_rows(const Context<Cuda>& context, GridShape grids, const Rows& rows, MatrixView<const float> target,
                float margin) {
  if constexpr (BeginsGroups<Rows>) each_element(context, grids.rows, grids.groups, BeginGrid<Rows>{rows});
  each_row(context, grids.rows * grids.groups, StartGroup<Rows>{rows, grids.groups, target, margin});
}

template <class Rows>
void encode_rows(const Context<Cuda>& context, GridShape grids, const Rows& rows, const OutlierRows& outliers,
                 MatrixView<float> W) {
  each_element(context, grids.rows, grids.groups, EncodeGrid<Rows>{rows});
  each_row(context, grids.rows * grids.groups, EncodeGroup<Rows>{rows, grids.groups, W});
  each_element(context, grids.rows, outliers.count, EncodeOutlier{outliers, W});
}

template <class Rows>
void add_row_gradients(const Context<Cuda>& context, GridShape grids, const Rows& rows, const OutlierRows& outliers,
                       MatrixView<const float> dW) {
  each_row(context, grids.rows * grids.groups, AddGroup<Rows>{rows, grids.groups, dW});
  if (outliers.moved != nullptr) each_element(context, grids.rows, outliers.count, AddOutlier{outliers, dW});
}

template <class Step>
void each_parameter(const Context<Cuda>& context, Index count, const Step& step) {
  each_element(context, 1, count, StepElement<Step>{step});
}

#define HALFTONE_INSTANTIATE(Rows)                                                                                \
  template void start_rows(const Context<Cuda>&, GridShape, const Rows&, MatrixView<const float>, float);         \
  template void encode_rows(const Context<Cuda>&, GridShape, const Rows&, const OutlierRows&, MatrixView<float>); \
  template void add_row_gradients(const Context<Cuda>&, GridShape, const Rows&, const OutlierRows&,               \
                                  MatrixView<const float>);
HALFTONE_INSTANTIATE(LatentRows<Cuda>)
HALFTONE_INSTANTIATE(LsqRows<Cuda>)
HALFTONE_INSTANTIATE(SignRoundRows<Cuda>)
HALFTONE_INSTANTIATE(BinaryRows<Cuda>)
#undef HALFTONE_INSTANTIATE

template void each_parameter(const Context<Cuda>&, Index, const SignStep&);
template void each_parameter(const Context<Cuda>&, Index, const AdamStep<true>&);
template void each_parameter(const Context<Cuda>&, Index, const AdamStep<false>&);

}  // namespace halftone::tune
