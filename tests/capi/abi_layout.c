/* The header twice, as C99: what it must be on its own. */
#include <halftone.h>

#include "abi_layout.inc"

int main(void) { return ht_abi_version() / 65536u == HT_ABI_MAJOR ? 0 : 1; }
