// The type-erased face of every solver, and the registry that the command, the C interface and the recipes go through.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/backend/cpu.hpp"
#include "halftone/core/options.hpp"
#include "halftone/quant/quantized_matrix.hpp"
#include "halftone/quant/statistics.hpp"

namespace halftone {

/// Options by name and text, as a command line or a recipe has them.
using OptionMap = std::map<std::string, std::string, std::less<>>;

/// What a solver derives once from a stage's statistics (order, damping, factor) and uses for each of its matrices.
/// Opaque; belongs to the quantizer (and options) that made it.
class Prepared {
 public:
  virtual ~Prepared() = default;
};

/// One method with its options, on the CPU in float. Thread-compatible: one thread at a time.
class Quantizer {
 public:
  virtual ~Quantizer() = default;
  virtual std::string_view name() const = 0;
  /// Sums that prepare() needs.
  virtual Moments moments() const = 0;
  /// Grid that results will have.
  virtual const GridOptions& grid() const = 0;
  /// True if columns are solved by descending diag(H) and, `group_index`, if groups then do not follow the columns.
  virtual bool act_order() const = 0;
  virtual bool group_index() const = 0;
  /// Columns that stay in 16 bit of a matrix with `cols` columns.
  virtual Index outlier_columns(Index cols) const = 0;
  /// True if results are binary-coded (BinaryGrid), not uniform.
  virtual bool binary_coded() const = 0;
  /// Every option as text, for journals and reports.
  virtual OptionMap options() const = 0;

  /// Work that the matrices of a stage share. `statistics` must outlive the result and have moments() or more.
  virtual std::unique_ptr<Prepared> prepare(const InputStatistics<float>& statistics) const = 0;
  /// Quantises W [out, in]. Throws Status::ShapeMismatch; Status::InvalidData for NaN or infinite weights.
  virtual QuantizedMatrix quantize(MatrixView<const float> W, const Prepared& prepared) const = 0;

  /// prepare and quantize in one step.
  QuantizedMatrix quantize(MatrixView<const float> W, const InputStatistics<float>& statistics) const {
    return quantize(W, *prepare(statistics));
  }
};

/// A row of the registry.
struct Method {
  std::string_view name;   ///< "gptq"
  std::string_view help;   ///< one line
  std::string_view paper;  ///< "arXiv 2210.17323"
  std::vector<OptionInfo> options;
  std::unique_ptr<Quantizer> (*make)(const Context<Cpu>& context, const OptionMap& options);
};

inline bool has_option(const Method& method, std::string_view name) {
  for (const OptionInfo& info : method.options)
    if (info.name == name) return true;
  return false;
}

/// Every method, in the order in which --help lists them.
std::span<const Method> methods();
/// By name; throws Status::NotFound with the list of names.
const Method& find_method(std::string_view name);
/// Throws Status::NotFound for an unknown method; Status::InvalidArgument for an unknown option or a value out of
/// bounds. The context must outlive the quantizer.
std::unique_ptr<Quantizer> make_quantizer(const Context<Cpu>& context, std::string_view method,
                                          const OptionMap& options);

}  // namespace halftone
