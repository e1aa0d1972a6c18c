// A fixture with all its weights in bfloat16.
#pragma once

#include <cstring>

#include "halftone/format/host_tensors.hpp"
#include "model/fixture.hpp"

namespace halftone::test {

/// The fixture's floating tensors rounded to bfloat16, in memory.
class BFloatModel {
 public:
  explicit BFloatModel(const std::string& name) {
    const Checkpoint original(model_folder(name));
    std::vector<HostTensor> list;
    for (const TensorInfo& info : original.tensors().tensors()) list.push_back(rounded(original.tensors(), info));
    checkpoint_ = std::make_unique<Checkpoint>(original.config(), std::make_unique<HostTensors>(std::move(list)),
                                               name + " in bfloat16");
  }
  const Checkpoint& checkpoint() const { return *checkpoint_; }

 private:
  HostTensor rounded(const TensorSource& source, const TensorInfo& info) {
    const Matrix<float> wide = source.reshaped(info.name, info.elements());
    Matrix<BFloat16>& values = values_.emplace_back(1, wide.size());
    for (Index i = 0; i < wide.size(); ++i) values.data()[i] = BFloat16(wide.data()[i]);
    return {{info.name, DType::BF16, info.shape}, values.data()};
  }

  std::vector<Matrix<BFloat16>> values_;  // of which the tensors are views: their memory stays where it is
  std::unique_ptr<Checkpoint> checkpoint_;
};

}  // namespace halftone::test
