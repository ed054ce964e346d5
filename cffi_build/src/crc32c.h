/* crc32c.h: the way without a CPU instruction, so that a test can compare the two. */
#ifndef MXRC_CRC32C_H
#define MXRC_CRC32C_H

#include "mxrc/core.h"

uint32_t mxrc_crc32c_portable(uint32_t crc, const void *data, size_t bytes);

#endif
