#pragma once
#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli, RFC 3720 §12.1) of `count` bytes, continuing from `crc` (0 to begin).
uint32_t baton_crc32c(uint32_t crc, const void *bytes, size_t count);
