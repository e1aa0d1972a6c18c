// The namespace of the leaf kernels: one per instruction set, named by the file that compiles them (src/backend).
#pragma once

#if !defined(HALFTONE_LEAF)
#define HALFTONE_LEAF leaf_user
#define HALFTONE_LEAF_ISA "user"
#endif

/// Eigen's own namespace in these files. src/backend renames it per instruction set (-DEigen=...).
#if !defined(EIGEN_DONT_PARALLELIZE)
#define EIGEN_DONT_PARALLELIZE
#endif
