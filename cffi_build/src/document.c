/* document.c: a text of varying length under a sequence word (atomic.h, pattern 3). */
#include <errno.h>

#include "atomic.h"
#include "mxrc/core.h"

int mxrc_document_write(uint64_t *seq, void *target, uint32_t *target_bytes, uint64_t capacity,
                        const void *text, uint32_t bytes)
{
    if (bytes > capacity) {
        return EMSGSIZE;
    }
    uint64_t odd = mxrc_seq_begin(seq);
    mxrc_store_word32(target_bytes, bytes);
    mxrc_copy_in(target, text, bytes);
    mxrc_seq_end(seq, odd);
    return 0;
}

int mxrc_document_read(const uint64_t *seq, const void *source, const uint32_t *source_bytes,
                       void *out, uint32_t capacity, uint32_t *bytes)
{
    for (int tries = 0; tries < MXRC_SEQ_TRIES; tries++) {
        uint64_t before = mxrc_load_acquire(seq);
        if ((before & 1) == 0) {
            uint32_t length = mxrc_load_word32(source_bytes);
            if (length <= capacity) {
                mxrc_copy_out(out, source, length);
            }
            if (mxrc_seq_unchanged(seq, before)) {
                *bytes = length;
                return length <= capacity ? 0 : EMSGSIZE;
            }
        }
        mxrc_pause();
    }
    *bytes = 0;
    return EAGAIN;
}
