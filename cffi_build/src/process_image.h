/* process_image.h: the commit word, and the places at which a test may stop a process. */
#ifndef MXRC_SRC_PROCESS_IMAGE_H
#define MXRC_SRC_PROCESS_IMAGE_H

#include "atomic.h"
#include "mxrc/process_image.h"

#define MXRC_IMAGE_EPOCH_MAX 0xffffffffull
#define MXRC_IMAGE_SEQUENCE_BITS 27

#ifndef MXRC_IMAGE_HOOK
#define MXRC_IMAGE_HOOK(place) ((void)0)
#endif

static inline uint64_t mxrc_image_epoch(uint64_t word)
{
    return word >> 32;
}

/* MXRC_IMAGE_BUFFERS and above: none is committed under this epoch. */
static inline uint32_t mxrc_image_buffer(uint64_t word)
{
    return (uint32_t)(word >> MXRC_IMAGE_SEQUENCE_BITS) & 31;
}

/* The one that was committed last, under whatever epoch. */
static inline uint32_t mxrc_image_last_buffer(uint64_t word)
{
    return mxrc_image_buffer(word) & (MXRC_IMAGE_NO_BUFFER - 1);
}

/* The word that follows `word`. */
static inline uint64_t mxrc_image_next(uint64_t word, uint64_t epoch, uint32_t buffer)
{
    uint64_t mask = (1ull << MXRC_IMAGE_SEQUENCE_BITS) - 1;
    return epoch << 32 | (uint64_t)buffer << MXRC_IMAGE_SEQUENCE_BITS | ((word + 1) & mask);
}

#endif
