// The space that the papers' methods are points of: target × outlier columns × grid × groups × order, on one
// error-diffusion core. GptqSolver, GptqV2Solver, OwqSolver and GptqtSolver are this class with
// other options.
//
//   1. order the columns, damp, factor                   factored_moments.hpp      once a stage
//   2. move the weights to the target                    target.hpp                W* = W + β·W·D·Hd⁻¹, target shift
//   3. choose the outlier columns, put them last         outliers.hpp              a factor of the matrix's own order
//   4. fit the grids                                     quant/grid_fit.hpp        static groups
//   5. round column by column, diffuse the errors        error_diffusion.hpp       twice, target alpha
//   6. refine codes and grids                            refine.hpp                off in the papers' presets
//   7. back to the original columns; codes, grids, outlier columns, report
//
// Cost: in³/3 flops for the factor, 2·out·in²/2 for the updates, out·in² for the report's denominator; target alpha
// adds in³/3 for T (once a stage) and out·in² for its updates; what needs all of U as well (another mode than pre, the
// target shift, α by held-out tokens, refinement) adds in³/3. The same bytes for any number of threads.
#pragma once

#include <optional>

#include "halftone/quant/binary_fit.hpp"
#include "halftone/quant/grid_fit.hpp"
#include "halftone/quant/metrics.hpp"
#include "halftone/solver/error_diffusion.hpp"
#include "halftone/solver/factored_moments.hpp"
#include "halftone/solver/outliers.hpp"
#include "halftone/solver/refine.hpp"
#include "halftone/solver/solver.hpp"
#include "halftone/solver/target.hpp"

namespace halftone {

/// Key of act-order.
enum class OrderKey : std::int32_t {
  Diagonal = 0,     ///< diag(H), as GPTQ
  Sensitivity = 1,  ///< H_jj · Σ (W_j − RTN(W)_j)², as OWQ
};
template <>
struct EnumWords<OrderKey> {
  static constexpr std::string_view values[] = {"diagonal", "sensitivity"};
};

struct DiffusionOptions {
  GridOptions grid{};
  Coding coding = Coding::Uniform;
  BinaryOptions binary{};
  double damping = 0.01;
  std::int64_t block_size = 128;
  bool act_order = false;
  OrderKey order_key = OrderKey::Diagonal;
  GroupMode groups = GroupMode::Static;
  TargetOptions target{};
  OutlierOptions outliers{};
  RefineOptions refine{};

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    GridOptions::fields(self.grid, visit);
    visit(choice("coding", self.coding, "uniform: scale and zero; binary: sign planes, 2 .. 4 bits (GPTQT)"));
    BinaryOptions::fields(self.binary, visit);
    visit(real("damping", self.damping, 0, 1,
               "λ / mean(diag H); `percdamp` of the GPTQ code (0.01 there, 0.05 in GPTQModel)"));
    visit(integer("block_size", self.block_size, 1, 65536, "columns between two updates of the rest of the matrix; B"));
    visit(flag("act_order", self.act_order, "solve columns by descending order_key"));
    visit(choice("order_key", self.order_key, "diagonal: diag(H), as GPTQ; sensitivity: as OWQ"));
    visit(choice("groups", self.groups, "static: grids before the solve; fresh, reference: at a group's turn"));
    TargetOptions::fields(self.target, visit);
    OutlierOptions::fields(self.outliers, visit);
    RefineOptions::fields(self.refine, visit);
  }
};

/// One point of the space. Methods are names for points: see PresetSolver.
template <class Scalar, class Backend>
class DiffusionSolver {
 public:
  /// Order, damping and factor of a stage; GPTQv2's T in that order; what refinement needs. The order alone where every
  /// matrix has one of its own.
  struct Prepared : FactoredMoments<Scalar, Backend> {
    typename Backend::template Matrix<Scalar> T;       ///< [in, in] in solving order; empty unless the target is alpha
    typename Backend::template Matrix<Scalar> learnt;  ///< alpha = auto: T of the tokens not held out
    typename Backend::template Matrix<Scalar> damped;  ///< Hd [in, in] by original column; empty without refinement
  };

  /// Throws Status::InvalidArgument, naming `name`, for options out of bounds. The context must outlive the solver.
  DiffusionSolver(const Context<Backend>& context, std::string_view name, const DiffusionOptions& options);

  const DiffusionOptions& options() const { return options_; }
  const GridOptions& grid() const { return options_.grid; }
  bool binary_coded() const { return options_.coding == Coding::Binary; }
  Moments moments() const {
    if (options_.target.target == Target::Symmetric) return Moments::Second;
    return options_.target.strength().automatic ? Moments::HeldOut : Moments::Cross;
  }
  bool act_order() const { return options_.act_order; }
  /// Groups of positions in a changed order: the result stores which column is in which.
  bool group_index() const {
    return (act_order() || options_.outliers.outlier_columns > 0) && options_.groups != GroupMode::Static &&
           grid().group_size > 0;
  }
  /// Columns that stay in 16 bit of a matrix with `cols` columns.
  Index outlier_columns(Index cols) const { return options_.outliers.count(cols); }

  /// Order, damping and factor of a stage. `statistics` must outlive the result.
  Prepared prepare(const InputStatistics<Scalar, Backend>& statistics) const;
  /// W [out, in] in the backend's memory. Where nothing could be factored the weights are rounded and the report says
  /// so.
  QuantizedMatrix quantize(MatrixView<const Scalar> W, const Prepared& prepared) const;

 private:
  using BackendMatrix = typename Backend::template Matrix<Scalar>;

  /// What a matrix is while it is being solved; columns in their original order.
  struct Working {
    BackendMatrix values;                                   ///< [out, in]
    typename Backend::template Matrix<std::uint8_t> codes;  ///< [out, in]
    std::vector<std::int32_t> group_of_column;
    double loss = 0;  ///< Σ e² of the column loop
    RefineReport refined{};
  };

  /// True if matrices of `cols` columns are factored in orders of their own: they keep columns, or go by sensitivity.
  bool own_orders(Index cols) const {
    return outlier_columns(cols) > 0 || (act_order() && options_.order_key == OrderKey::Sensitivity);
  }
  bool multiplies_with_U() const;
  /// How `cols` columns are cut, by a factor that is U.
  DiffusionPlan diffusion_plan(Index cols) const;
  /// Damps and factors in the given order, with all that target and refinement ask for.
  Prepared prepare_order(const InputStatistics<Scalar, Backend>& statistics, InputDiagonal diagonal,
                         std::vector<std::int32_t> order) const;
  /// What the codes should come close to under Hd: the weights, moved by the shift of the target (β = 0: not moved),
  /// without dead columns. In the backend's memory.
  BackendMatrix aimed_at(MatrixView<const Scalar> W, const Prepared& moments, double beta) const;
  /// The stage's moments in the matrix's own order.
  Prepared own_order(MatrixView<const Scalar> W, const Prepared& prepared) const;
  /// α or β of this matrix: as asked, or by the held-out tokens.
  double strength_for(MatrixView<const Scalar> W, const Prepared& moments) const;
  /// True if the symmetric target ends with the lower asymmetric objective.
  bool loses(MatrixView<const Scalar> W, const Prepared& moments, double strength) const;
  /// use(grids), with grids of the kind asked for.
  template <class Use>
  auto with_grids(Index rows, Index cols, Use&& use) const;
  /// Steps 2 to 6. `strength` 0: the symmetric target.
  template <class Grids>
  Working solve(Grids& grids, MatrixView<const Scalar> W, const Prepared& moments, double strength) const;
  /// Step 7.
  template <class Grids>
  QuantizedMatrix finished(const Grids& grids, MatrixView<const Scalar> W, Working working, const Prepared& moments,
                           double strength) const;
  /// Static grids, on the columns that are rounded: the first `rounded` of moments.order.
  template <class Grids>
  void fit_static(Grids& grids, MatrixView<const Scalar> W, const Prepared& moments, Index rounded) const;
  /// Runs the core on the values, which come back rounded.
  template <class Grids>
  Working diffuse(Grids& grids, BackendMatrix values, const Prepared& moments, Index rounded, double strength) const;
  template <class Grids>
  RefineReport refine_codes(Grids& grids, Working& working, MatrixView<const Scalar> target, const Prepared& moments,
                            Index rounded) const;
  OutlierColumns take_outliers(const BackendMatrix& values, const Prepared& moments, Index rounded) const;
  double error_of(MatrixView<const Scalar> W, BackendMatrix values, const Prepared& moments,
                  std::optional<double> loss) const;

  const Context<Backend>* context_;
  std::string_view name_;
  DiffusionOptions options_;
  std::optional<BinaryCandidates> candidates_;  ///< of a binary-coded grid
};

/// The options of a method: a preset's, to depart from.
template <class Preset>
struct PresetOptions : DiffusionOptions {
  PresetOptions() : DiffusionOptions(Preset::options()) {}
};

/// A method of the papers: `Preset` names a point of the space (see gptq.hpp).
template <class Scalar, class Backend, class Preset>
class PresetSolver : public DiffusionSolver<Scalar, Backend> {
 public:
  using Options = PresetOptions<Preset>;
  static constexpr std::string_view name = Preset::name, help = Preset::help, paper = Preset::paper;

  /// Throws Status::InvalidArgument for options out of bounds. The context must outlive the solver.
  explicit PresetSolver(const Context<Backend>& context, const Options& options = {})
      : DiffusionSolver<Scalar, Backend>(context, name, options) {}
};

}  // namespace halftone

#if defined(HALFTONE_COMPILED)
namespace halftone {
extern template class DiffusionSolver<float, Cpu>;
extern template class DiffusionSolver<double, Cpu>;
}  // namespace halftone
#else
#include "halftone/solver/diffusion_solver.impl.hpp"
#endif
