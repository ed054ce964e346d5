/* state_read.c: the newest state block that is whole. Block A or B may be half written, by a writer at work or by one
 * that died; then the other one counts. */
#include <string.h>

#include "atomic.h"
#include "mxrc/core.h"

static uint32_t checksum(const struct mxrc_state_block *block)
{
    static const uint32_t none = 0;
    const uint8_t *start = (const uint8_t *)block;
    const size_t from = offsetof(struct mxrc_state_block, epoch);
    const size_t crc_at = offsetof(struct mxrc_state_block, crc);
    uint32_t crc = mxrc_crc32c(0, start + from, crc_at - from);
    crc = mxrc_crc32c(crc, &none, sizeof none);
    return mxrc_crc32c(crc, start + crc_at + sizeof none, block->bytes - crc_at - sizeof none);
}

static int valid(const struct mxrc_state_block *block)
{
    if (block->bytes < offsetof(struct mxrc_state_block, data) || block->bytes > sizeof *block ||
        block->section_count > MXRC_STATE_SECTIONS || block->crc != checksum(block)) {
        return 0;
    }
    for (uint32_t i = 0; i < block->section_count; i++) {
        const struct mxrc_state_section *section = &block->section[i];
        if (section->offset < offsetof(struct mxrc_state_block, data) ||
            section->offset > block->bytes || section->bytes > block->bytes - section->offset) {
            return 0;
        }
    }
    return 1;
}

static int copy_block(const struct mxrc_state_block *shared, struct mxrc_state_block *out)
{
    for (int tries = 0; tries < 4; tries++) {
        uint64_t seq = mxrc_load_acquire(&shared->seq);
        if (seq == 0) {
            return 0;
        }
        if ((seq & 1) == 0) {
            out->seq = seq;
            mxrc_copy_out(&out->epoch, &shared->epoch, sizeof *out - sizeof out->seq);
            if (mxrc_seq_unchanged(&shared->seq, seq)) {
                return valid(out);
            }
        }
        mxrc_pause();
    }
    return 0;
}

static int newer(const struct mxrc_state_block *a, const struct mxrc_state_block *b)
{
    if (a->epoch != b->epoch) {
        return a->epoch > b->epoch;
    }
    if (a->cycle != b->cycle) {
        return a->cycle > b->cycle;
    }
    return a->time_ns != b->time_ns ? a->time_ns > b->time_ns : a->seq > b->seq;
}

int mxrc_state_read(const struct mxrc_segment *segment, struct mxrc_state_block *out)
{
    const struct mxrc_state_block *blocks = mxrc_region(segment, MXRC_REGION_STATE, NULL);
    struct mxrc_state_block second;
    if (blocks == NULL) {
        return 0; /* detached */
    }
    int first_valid = copy_block(&blocks[0], out);
    if (copy_block(&blocks[1], &second) && (!first_valid || newer(&second, out))) {
        memcpy(out, &second, sizeof *out);
        return 1;
    }
    return first_valid;
}
