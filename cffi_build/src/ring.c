/* ring.c: one writer, many readers, the oldest record is overwritten.
 *
 * The slot of record n is a payload under a sequence word (atomic.h, pattern 3) whose values tell
 * the record as well: 2n+1 while it is written, 2n+2 when done. `head`, the number of records ever published, is stored
 * with release after the even value (pattern 2). So for a reader that loaded head with acquire, the slot of any
 * n < head held at least 2n+2: finding 2n+2 before and after the copy, it has record n whole; finding more,
 * record n was overwritten and is lost. Nothing needs to be tried twice, and readers store nothing, so
 * they work on read-only maps and cannot disturb the writer.
 *
 * A writer that died leaves at most one slot unfinished, that of record head; mxrc_ring_recover says
 * what its successor does about it. Nobody reads that slot before head passes it. */
#include <errno.h>

#include "atomic.h"
#include "mxrc/core.h"

/* Tests include this file with hooks that pause, die or read at these places, and with mistakes (MXRC_WRONG_...)
 * that the tests must find. */
#ifndef MXRC_RING_HOOK
#define MXRC_RING_HOOK(place) ((void)0)
#endif

/* How often one read may be lapped before it returns with what it has. */
#define JUMPS 8

static uint8_t *slot_of(const struct mxrc_ring *ring, uint64_t number)
{
    return ring->slots + (number & ring->mask) * MXRC_SLOT_BYTES;
}

static uint64_t *seq_of(uint8_t *slot)
{
    return (uint64_t *)(void *)slot;
}

int mxrc_ring_open(struct mxrc_ring *ring, const struct mxrc_segment *segment, uint32_t region_id)
{
    const struct mxrc_region_desc *region = mxrc_region_description(segment, region_id);
    if (region == NULL) {
        return ENOENT;
    }
    struct mxrc_ring_header *header = (void *)(segment->base + region->offset);
    uint64_t capacity = region->element_count;
    /* The table is read-only and checked; the ring's own header must say the same. */
    if (region->element_bytes != MXRC_SLOT_BYTES || capacity < 2 ||
        (capacity & (capacity - 1)) != 0 || header->capacity != capacity ||
        header->slot_bytes != region->element_bytes ||
        sizeof *header + capacity * region->element_bytes > region->size) {
        return EINVAL;
    }
    *ring = (struct mxrc_ring){
        .header = header,
        .slots = (uint8_t *)header + sizeof *header,
        .mask = capacity - 1,
        .slot_bytes = region->element_bytes,
        .region_id = region_id,
    };
    return 0;
}

/* ---- writer ---- */

__attribute__((always_inline)) static inline void write_slot(const struct mxrc_ring *ring,
                                                             uint64_t number, const void *record)
{
    enum { HALF = MXRC_SLOT_BYTES / 2 };
    uint8_t *slot = __builtin_assume_aligned(slot_of(ring, number), MXRC_LINE_BYTES);
    const uint8_t *from = record;
#ifndef MXRC_WRONG_NO_ODD
    mxrc_store_relaxed(seq_of(slot), 2 * number + 1); /* W1 */
    mxrc_fence_release();                             /* W2 */
#endif
    MXRC_RING_HOOK(MXRC_RING_MARKED);
    mxrc_copy_in(slot + 8, from + 8, HALF - 8); /* W3 */
    MXRC_RING_HOOK(MXRC_RING_HALF);
    mxrc_copy_in(slot + HALF, from + HALF, HALF);
    MXRC_RING_HOOK(MXRC_RING_FILLED);
    mxrc_store_release(seq_of(slot), 2 * number + 2); /* W4 */
}

uint64_t mxrc_ring_publish(struct mxrc_ring *ring, const void *record)
{
    uint64_t number = mxrc_load_relaxed(&ring->header->head); /* our own word */
#ifdef MXRC_WRONG_HEAD_FIRST
    mxrc_store_release(&ring->header->head, number + 1);
    write_slot(ring, number, record);
#else
    write_slot(ring, number, record);
    MXRC_RING_HOOK(MXRC_RING_DONE);
    mxrc_store_release(&ring->header->head, number + 1);
#endif
    const uint8_t *next = slot_of(ring, number + 1);
    for (int line = 0; line < MXRC_SLOT_BYTES; line += MXRC_LINE_BYTES) {
        mxrc_prefetch_write(next + line);
    }
    return number;
}

/* The record of a dead writer: all zero (for an event that is MXRC_EVENT_TOMBSTONE) but the flag of a cycle. */
static void write_tombstone(const struct mxrc_ring *ring, uint64_t number)
{
    union {
        uint64_t words[MXRC_SLOT_BYTES / 8];
        struct mxrc_cycle_record cycle;
    } record = {{0}};
    if (ring->region_id == MXRC_REGION_CYCLE_RING) {
        record.cycle.flags = MXRC_CYCLE_TOMBSTONE;
    }
    write_slot(ring, number, &record);
}

int mxrc_ring_recover(struct mxrc_ring *ring)
{
    uint64_t number = mxrc_load_relaxed(&ring->header->head);
    uint64_t seq = mxrc_load_acquire(seq_of(slot_of(ring, number)));
    int found = 0;
#ifdef MXRC_WRONG_NO_TOMBSTONE
    seq = 2 * number;
#endif
    if (seq == 2 * number + 2) {
        found = 1; /* died between the even value and head: the record is whole */
    } else if ((seq & 1) != 0) {
        write_tombstone(ring, number);
        uint64_t *tombstones = &ring->header->tombstones;
        mxrc_store_relaxed(tombstones, mxrc_load_relaxed(tombstones) + 1);
        found = 2;
    }
    if (found != 0) {
        mxrc_store_release(&ring->header->head, number + 1);
    }
    return found;
}

/* ---- readers ---- */

/* 1 copied; 0 overwritten, or not written. */
static int copy_slot(const struct mxrc_ring *ring, uint64_t number, uint8_t *out)
{
    uint8_t *slot = slot_of(ring, number);
    uint64_t seq = mxrc_load_acquire(seq_of(slot)); /* R1 */
    if (seq != 2 * number + 2) {
        return 0;
    }
    MXRC_RING_HOOK(MXRC_RING_READING);
    memcpy(out, &seq, sizeof seq);
    mxrc_copy_out(out + 8, slot + 8, MXRC_SLOT_BYTES - 8); /* R2 */
#ifdef MXRC_WRONG_NO_RECHECK
    return 1;
#else
    return mxrc_seq_unchanged(seq_of(slot), seq); /* R3, R4 */
#endif
}

/* Where a lapped reader goes on: a sixteenth of the ring ahead of the writer, so that it is not lapped again at once. */
static uint64_t after_lapping(const struct mxrc_ring *ring, uint64_t head)
{
    uint64_t capacity = ring->mask + 1;
    uint64_t margin = capacity / 16;
    return head - capacity + (margin > 0 ? margin : 1);
}

uint64_t mxrc_ring_read(const struct mxrc_ring *ring, uint64_t *cursor, void *out, uint64_t max,
                        uint64_t *lost)
{
    uint64_t head = mxrc_load_acquire(&ring->header->head);
    uint64_t number = *cursor;
    uint64_t copied = 0;
    uint64_t missed = 0;

    if (number > head) {
        number = head;
    }
    for (int jumps = 0; copied < max && number < head && jumps < JUMPS;) {
        if (head - number <= ring->mask + 1 &&
            copy_slot(ring, number, (uint8_t *)out + copied * MXRC_SLOT_BYTES)) {
            copied++;
            number++;
            continue;
        }
        /* Lapped: record `number` is gone. head is loaded again, for the writer went on. */
        head = mxrc_load_acquire(&ring->header->head);
        uint64_t next = number + 1;
        if (head - number > ring->mask) {
            next = after_lapping(ring, head);
            next = next > number ? next : number + 1;
        }
        missed += next - number;
        number = next;
        jumps++;
    }
    *cursor = number;
    *lost += missed;
    return copied;
}

int mxrc_ring_read_one(const struct mxrc_ring *ring, uint64_t number, void *out)
{
    uint64_t head = mxrc_load_acquire(&ring->header->head);
    return number < head && copy_slot(ring, number, out);
}
