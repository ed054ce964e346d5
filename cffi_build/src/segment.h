/* segment.h: what the segment_*.c files share.
 *
 * Life of a generation, all of it under the instance lock (lock_file.c):
 *
 *   "<name>.new"  --rename-->  BUILDING  --publish-->  LIVE  --retire-->  RETIRED, unlinked
 *
 * The object gets its name only when its size, header, region table and CRC are in place: whoever opens it
 * finds either a whole generation or none, and the rename replaces a dead predecessor in the same step.
 * BUILDING lasts as long as the creator holds the lock; an object found BUILDING by one who holds the
 * lock was left by a dead creator.
 *
 * What never changes its place in any layout version, so that processes of different builds can tell
 * each other apart: struct mxrc_header, struct mxrc_region_desc, the page of the table, and pid and
 * process_start of struct mxrc_member. */
#ifndef MXRC_SEGMENT_H
#define MXRC_SEGMENT_H

#include "mxrc/core.h"

#define MXRC_TABLE_OFFSET MXRC_PAGE_BYTES
#define MXRC_HEADER_REGION (2 * MXRC_PAGE_BYTES)
#define MXRC_MAIN_SLOTS 1024 /* of a main thread's lane */
#define MXRC_SHM_DIR "/dev/shm"
#define MXRC_LOCK_WAIT_MS 10000

/* geometry.c: the region table that a geometry asks for, in order of ids. Returns the size of the
 * segment, 0 with the reason in `error` when the geometry is not possible. */
uint64_t mxrc_geometry_plan(const struct mxrc_geometry *geometry,
                            struct mxrc_region_desc table[MXRC_REGIONS], uint32_t *count,
                            char *error, size_t error_bytes);

/* segment_check.c: everything that can be told from the bytes of a mapped object of `bytes` bytes.
 * MXRC_OPEN_OK, _FOREIGN (magic), _LAYOUT, or _CORRUPT. With _LAYOUT the header, the table and the
 * members of the other build can be read. */
int mxrc_segment_check(const uint8_t *base, uint64_t bytes, const char *name, char *error,
                       size_t error_bytes);
uint32_t mxrc_header_crc(const struct mxrc_header *header, const struct mxrc_region_desc *table);
void mxrc_boot_id(uint8_t id[16]);

/* segment_map.c */
/* Opens and maps the object read-only, the descriptor allowing what `access` needs, and checks its
 * owner and its bytes. MXRC_OPEN_LAYOUT leaves it mapped, every other failure does not. */
int mxrc_segment_map(struct mxrc_segment *segment, const char *name, int access, char *error,
                     size_t error_bytes);
/* Gives each region the protection that its writer allows. 0 or an errno. */
int mxrc_segment_protect(const struct mxrc_segment *segment);
int mxrc_region_writable(const struct mxrc_segment *segment, const struct mxrc_region_desc *region);
void mxrc_segment_unmap(struct mxrc_segment *segment);
/* 1 when `name` can name an object: '/', then 1 to 58 characters without another '/'. */
int mxrc_object_name_valid(const char *name);

static inline struct mxrc_header *mxrc_segment_header(const struct mxrc_segment *segment)
{
    return (struct mxrc_header *)(void *)segment->base;
}

/* segment_create.c: makes and maps a whole new generation in state BUILDING, named in one step.
 * `after` is the generation that it replaces, 0 for none. */
int mxrc_segment_create(struct mxrc_segment *segment, const char *name,
                        const struct mxrc_geometry *geometry, uint64_t after, char *error,
                        size_t error_bytes);

/* lock_file.c */
/* Says until the descriptor is closed, or this process dies, that it is an attached RT process. -1: it cannot. */
int mxrc_lock_presence(const char *path);
/* 1 when no RT process is attached; `descriptor` holds the instance lock. */
int mxrc_lock_nobody(int descriptor);

/* What a creator left that died before it could name its object; under the instance lock. */
void mxrc_segment_remove_draft(const char *name);

/* member.c */
/* The index of a live member other than `except`, -1 for none; *pid tells which. */
int mxrc_member_live(const struct mxrc_segment *segment, int except, uint32_t *pid);
/* Claims a free or dead member's slot for this process and repairs its lanes; under the instance lock.
 * Returns the index, -1 when all are taken. */
int mxrc_member_claim(struct mxrc_segment *segment);
void mxrc_member_release(struct mxrc_segment *segment);

#endif
