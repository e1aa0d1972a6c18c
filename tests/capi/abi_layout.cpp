// The header twice, as C++.
#include <halftone.h>

#include "abi_layout.inc"

int main() { return ht_abi_version() / 65536u == HT_ABI_MAJOR ? 0 : 1; }
