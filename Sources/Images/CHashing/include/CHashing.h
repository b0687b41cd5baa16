// The processor's own SHA-256 instructions, which Swift has no word for.
#ifndef SWIFTLET_CHASHING_H
#define SWIFTLET_CHASHING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether this processor has SHA-256 instructions that `swiftlet_sha256_blocks` can use.
bool swiftlet_sha256_available(void);

/// Compresses `count` 64-byte blocks into the eight words of `state`. Only where `swiftlet_sha256_available` is true.
void swiftlet_sha256_blocks(uint32_t *state, const uint8_t *blocks, size_t count);

#endif
