#include "halftone/format/checkpoint.hpp"

#include "convert.hpp"
#include "result.hpp"

using namespace halftone;
using namespace halftone::capi;

struct ht_checkpoint final : MadeFromContext {
  ht_checkpoint(std::shared_ptr<Shared> shared, const char* directory)
      : MadeFromContext(std::move(shared)), checkpoint(directory) {}

  Checkpoint checkpoint;
};

namespace {

void write_tensor(ht_tensor* out, const TensorSource& source, const TensorInfo& info, const char* what) {
  write_struct(out, tensor_size, tensor_of(info, source.bytes(info.name)), what);
}

}  // namespace

ht_status ht_checkpoint_open(ht_context* context, const char* directory, ht_checkpoint** checkpoint) {
  return on_handle(context, Use::Read, "ht_checkpoint_open: context", [&](ht_context& self) {
    require_given(directory, "ht_checkpoint_open: directory");
    require_given(checkpoint, "ht_checkpoint_open: checkpoint");
    give_out(checkpoint, self.shared(), directory);
  });
}

void ht_checkpoint_destroy(ht_checkpoint* checkpoint) { dismiss(checkpoint); }

ht_status ht_checkpoint_get(const ht_checkpoint* checkpoint, uint32_t index, ht_tensor* tensor) {
  return on_handle(checkpoint, Use::Read, "ht_checkpoint_get: checkpoint", [&](ht_checkpoint& self) {
    const TensorSource& source = self.checkpoint.tensors();
    require(index < source.tensors().size(), Status::NotFound, "ht_checkpoint_get: index is ", index, " of ",
            source.tensors().size(), " tensors");
    write_tensor(tensor, source, source.tensors()[index], "ht_checkpoint_get: tensor");
  });
}

ht_status ht_checkpoint_tensor(const ht_checkpoint* checkpoint, const char* name, ht_tensor* tensor) {
  return on_handle(checkpoint, Use::Read, "ht_checkpoint_tensor: checkpoint", [&](ht_checkpoint& self) {
    require_given(name, "ht_checkpoint_tensor: name");
    const TensorSource& source = self.checkpoint.tensors();
    write_tensor(tensor, source, source.info(name), "ht_checkpoint_tensor: tensor");
  });
}

ht_status ht_checkpoint_matrix(const ht_checkpoint* checkpoint, const char* module, ht_result** result) {
  return on_handle(checkpoint, Use::Read, "ht_checkpoint_matrix: checkpoint", [&](ht_checkpoint& self) {
    require_given(module, "ht_checkpoint_matrix: module");
    require_given(result, "ht_checkpoint_matrix: result");
    auto matrix = self.checkpoint.quantized(module);
    require(matrix != nullptr, Status::NotFound, self.checkpoint.name(), ": no quantised module '", module, "'");
    const DType dtype = matrix->scale_type();
    give_out(result, self.shared(), std::move(*matrix), "", dtype);
  });
}
