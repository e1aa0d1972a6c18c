// Primitives of refitting (quant/grid_refit.hpp): closed-form scales of codes that stay. Names as in refine.hpp.
#pragma once

#include "halftone/backend/binary_grid.hpp"
#include "halftone/backend/quantize.hpp"

namespace halftone {

/// out(r, t) = code − zero of row r and column columns[t], all of one group. codes [rows, in], out [rows, width];
/// zeros [rows].
template <class S>
void centred_codes(const Context<Cpu>& context, MatrixView<const std::uint8_t> codes, const std::int32_t* columns,
                   const S* zeros, MatrixView<S> out);

/// The best scale of every row of one group for its codes. C [rows, width] the centred codes of the group's `columns`,
/// ascending; P = C · H[columns, :], either all of it [rows, in] or its columns `columns` [rows, width]. Changing a
/// scale by d changes the row's objective by 2 b d + a d² with a = Σ C ∘ P, b = Σ G ∘ C: the scale becomes s − b / a,
/// rounded to `type`, where that lowers the objective. scales [rows] in, out; steps [rows] out: new minus old scale; Q
/// [rows, in] in, out. Returns the rows that changed.
template <class S>
Index refit_scales(const Context<Cpu>& context, MatrixView<const S> C, MatrixView<const S> P, MatrixView<const S> G,
                   const std::int32_t* columns, ScaleType type, S* scales, S* steps, MatrixView<S> Q);

/// The signs ±1 of a group's codes, plane under plane: out(i · rows + r, t) is that of plane i at row r and column
/// columns[t]. codes [rows, in], out [bits · rows, width].
template <class S>
void sign_planes(const Context<Cpu>& context, MatrixView<const std::uint8_t> codes, const std::int32_t* columns,
                 int bits, MatrixView<S> out);

/// The grid of one group as a refit changes it.
template <class S>
struct RefittedBinary {
  FittedBinary<S> grid;                   ///< in, out
  ScaleType type = ScaleType::F16;        ///< of alphas and biases
  MatrixView<std::uint8_t> codes;         ///< [rows, in] in; out: planes reordered, where alphas changed places or sign
  const std::int32_t* columns = nullptr;  ///< [width] of the group
};

/// The best α and β of every row of one group for its signs. A = sign_planes of the rows [bits · rows, width], P = A ·
/// H of the group's columns, ones_H [width] the column sums of that H; G [rows, in]. With B = (A_1 .. A_k, 1) and
/// parameters p the objective of a row changes by 2 bᵀd + dᵀ M d for d = p' − p, M = Bᵀ H B, b = Bᵀ g: p − M⁻¹ b,
/// rounded to the stored type, is taken where that lowers the objective. Q [rows, in] in, out; D [rows, width] out: new
/// minus old values. Returns the rows that changed.
template <class S>
Index refit_planes(const Context<Cpu>& context, MatrixView<const S> A, MatrixView<const S> P, const S* ones_H,
                   MatrixView<const S> G, const RefittedBinary<S>& refitted, MatrixView<S> Q, MatrixView<S> D);

}  // namespace halftone

#if !defined(HALFTONE_COMPILED)
#include "halftone/backend/refit.impl.hpp"
#endif
