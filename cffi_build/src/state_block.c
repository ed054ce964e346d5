/* state_block.c: blocks A and B in turn, so that one of them is whole at every instant. Number n goes to block
 * n modulo 2 with the sequence words of a ring slot; the successor of block n is n + 1, so the block that a
 * dead writer left half written is the one that is written next. */
#include <errno.h>
#include <string.h>

#include "state_block.h"

#define DATA_OFFSET offsetof(struct mxrc_state_block, data)
#define EPOCH_OFFSET offsetof(struct mxrc_state_block, epoch)

int mxrc_section_add(struct mxrc_exec *exec, const struct mxrc_section *section)
{
    size_t used = DATA_OFFSET + section->capacity;
    for (uint32_t i = 0; i < exec->section_count; i++)
        used += exec->section[i]->capacity;
    if (exec->section_count == MXRC_STATE_SECTIONS || used > sizeof(struct mxrc_state_block))
        return ENOSPC;
    exec->section[exec->section_count++] = section;
    return 0;
}

/* Puts the block together in private memory. */
static void assemble(struct mxrc_exec *exec)
{
    struct mxrc_state_block *block = &exec->block;
    uint32_t offset = DATA_OFFSET;
    block->epoch = exec->epoch;
    block->cycle = exec->now.cycle;
    block->time_ns = exec->now.wake_ns;
    block->section_count = exec->section_count;
    for (uint32_t i = 0; i < exec->section_count; i++) {
        const struct mxrc_section *section = exec->section[i];
        uint32_t bytes = section->save(exec, (uint8_t *)block + offset);
        block->section[i] = (struct mxrc_state_section){
            .id = section->id,
            .version = section->version,
            .offset = offset,
            .bytes = bytes,
        };
        offset += (bytes + 7) & ~7u;
    }
    block->bytes = offset;
    block->crc = 0;
    block->crc = mxrc_crc32c(0, &block->epoch, offset - EPOCH_OFFSET);
}

void mxrc_state_block_write(struct mxrc_exec *exec)
{
    uint64_t n = exec->state_writes++;
    struct mxrc_state_block *shared = &exec->at.state[n & 1];
    assemble(exec);
    size_t bytes = exec->block.bytes - EPOCH_OFFSET;
    size_t half = bytes / 2 & ~(size_t)7;
    /* atomic.h, pattern 3 */
    mxrc_store_relaxed(&shared->seq, 2 * n + 1);
    mxrc_fence_release();
    mxrc_copy_in(&shared->epoch, &exec->block.epoch, half);
    mxrc_phase(exec, MXRC_AT_STATE_BLOCK);
    mxrc_copy_in((uint8_t *)&shared->epoch + half, (const uint8_t *)&exec->block.epoch + half,
                 bytes - half);
    mxrc_store_release(&shared->seq, 2 * n + 2);
}

static const struct mxrc_state_section *find(const struct mxrc_state_block *block, uint32_t id)
{
    for (uint32_t i = 0; i < block->section_count; i++)
        if (block->section[i].id == id)
            return &block->section[i];
    return NULL;
}

/* Where each section is in the newest valid block, NULL: to be left as it is. Result as of mxrc_state_block_restore. */
static int sections_in_block(struct mxrc_exec *exec, const void **saved, uint32_t *bytes)
{
    struct mxrc_state_block *block = &exec->block;
    if (!mxrc_state_read(exec->segment, block))
        return 0;
    for (uint32_t i = 0; i < exec->section_count; i++) {
        const struct mxrc_section *section = exec->section[i];
        const struct mxrc_state_section *found = find(block, section->id);
        int good = found && found->version == section->version && found->offset % 8 == 0 &&
                   section->validate(exec, (const uint8_t *)block + found->offset, found->bytes);
        if (!good && section->required)
            return -(int)section->id;
        if (good) {
            saved[i] = (const uint8_t *)block + found->offset;
            bytes[i] = found->bytes;
        }
    }
    return 1;
}

int mxrc_state_block_restore(struct mxrc_exec *exec)
{
    const void *saved[MXRC_STATE_SECTIONS] = {0};
    uint32_t bytes[MXRC_STATE_SECTIONS] = {0};
    int result = sections_in_block(exec, saved, bytes);
    if (result <= 0)
        return result;
    for (uint32_t i = 0; i < exec->section_count; i++)
        if (saved[i])
            exec->section[i]->restore(exec, saved[i], bytes[i]);
    exec->state_writes = exec->block.seq / 2;
    exec->now.cycle = exec->block.cycle;
    return 1;
}

int mxrc_exec_state_usable(struct mxrc_exec *exec)
{
    const void *saved[MXRC_STATE_SECTIONS] = {0};
    uint32_t bytes[MXRC_STATE_SECTIONS] = {0};
    return sections_in_block(exec, saved, bytes) > 0;
}

int mxrc_state_block_state(struct mxrc_exec *exec)
{
    struct mxrc_executive_state state;
    if (!mxrc_state_read(exec->segment, &exec->block))
        return -1;
    const struct mxrc_state_section *found = find(&exec->block, MXRC_SECTION_EXECUTIVE);
    if (!found || found->bytes != sizeof state)
        return -1;
    memcpy(&state, (const uint8_t *)&exec->block + found->offset, sizeof state);
    return (int)state.state;
}
