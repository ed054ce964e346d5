/* layout.c: what layout.h promises about sizes and places, held by the compiler. */
#include <assert.h>
#include <pthread.h>

#include "mxrc/core.h"

#ifndef MXRC_LAYOUT_HASH
#error "MXRC_LAYOUT_HASH comes from the build (layout_hash.py)"
#endif

#define SIZE(type, bytes) static_assert(sizeof(struct type) == (bytes), "size of " #type)
#define AT(type, field, offset)                                                                    \
    static_assert(offsetof(struct type, field) == (offset), #type "." #field)
/* Words that different processes write, or that one writes while others poll, share no cache line. */
#define OWN_LINE(type, field, next)                                                                \
    static_assert(offsetof(struct type, field) % MXRC_LINE_BYTES == 0 &&                           \
                      offsetof(struct type, next) >=                                               \
                          offsetof(struct type, field) + MXRC_LINE_BYTES,                          \
                  #type "." #field " has a cache line of its own")

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the segment is little-endian");
static_assert(sizeof(double) == 8 && sizeof(float) == 4, "IEEE 754");
static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct mxrc_lease *)0)->mutex),
              "the C library's mutex fits");
static_assert(offsetof(struct mxrc_lease, mutex) % _Alignof(pthread_mutex_t) == 0,
              "the C library's mutex is aligned");

/* The same in every layout version: see segment.h. */
SIZE(mxrc_header, 256);
AT(mxrc_header, magic, 0);
AT(mxrc_header, layout_version, 8);
AT(mxrc_header, layout_hash, 16);
AT(mxrc_header, segment_bytes, 24);
AT(mxrc_header, generation, 32);
AT(mxrc_header, region_count, 56);
AT(mxrc_header, state, 60);
AT(mxrc_header, crc, 96);
SIZE(mxrc_region_desc, 64);
AT(mxrc_member, pid, 0);
AT(mxrc_member, process_start, 8);
static_assert(sizeof(struct mxrc_region_desc) * MXRC_REGIONS == MXRC_PAGE_BYTES,
              "the table of regions is one page");

/* Arrays: a slot is whole lines, an element never straddles more than it must. */
SIZE(mxrc_ring_header, MXRC_SLOT_BYTES);
SIZE(mxrc_cycle_record, MXRC_SLOT_BYTES);
SIZE(mxrc_event, MXRC_SLOT_BYTES);
SIZE(mxrc_command, MXRC_SLOT_BYTES);
SIZE(mxrc_condition, 16);
SIZE(mxrc_strand, 72);
SIZE(mxrc_task_state, 216);
SIZE(mxrc_op, 256);
SIZE(mxrc_program, 256);
SIZE(mxrc_program_slot, MXRC_PROGRAM_SLOT_BYTES);
SIZE(mxrc_state_block, MXRC_STATE_BLOCK_BYTES);
SIZE(mxrc_document, 16384);
SIZE(mxrc_names, 64);
SIZE(mxrc_name, 64);
SIZE(mxrc_data_directory, 64);
SIZE(mxrc_data_key, 128);
SIZE(mxrc_data_cell, 192);
SIZE(mxrc_cursor, 256);
SIZE(mxrc_anchor, 16);

AT(mxrc_cycle_record, seq, 0);
AT(mxrc_event, seq, 0);
AT(mxrc_command, seq, 0);
AT(mxrc_state_block, epoch, 8);
static_assert(sizeof(struct mxrc_member) <= 4 * MXRC_PAGE_BYTES, "a member is four pages");

OWN_LINE(mxrc_ring_header, head, capacity);
OWN_LINE(mxrc_clock, count, anchor);
OWN_LINE(mxrc_lease, mutex, owner);
OWN_LINE(mxrc_lease, owner, grid_origin_ns);

/* Payloads under a sequence word are copied in whole words. */
static_assert(offsetof(struct mxrc_member, document) % 8 == 0, "aligned");
static_assert(sizeof(((struct mxrc_member *)0)->document) % 8 == 0, "whole words");
static_assert(offsetof(struct mxrc_document, text) % 8 == 0, "aligned");
static_assert(sizeof(((struct mxrc_document *)0)->text) % 8 == 0, "whole words");
static_assert(offsetof(struct mxrc_data_cell, value) % 8 == 0, "aligned");
static_assert(offsetof(struct mxrc_name, text) + MXRC_NAME_BYTES == sizeof(struct mxrc_name),
              "a name fills its entry");
static_assert(MXRC_REGION_LANE + MXRC_LANES <= MXRC_REGIONS, "a table entry for every region");
static_assert(2 * MXRC_MEMBERS == MXRC_LANES, "two lanes a member");
static_assert(157 * 64 >= MXRC_MISS_WINDOW, "a bit for every slot of the window");

uint64_t mxrc_layout_hash(void)
{
    return MXRC_LAYOUT_HASH;
}
