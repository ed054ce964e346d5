/* segment_open.c: how an RT process comes to its generation: join the one that is there or replace it. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "atomic.h"
#include "error.h"
#include "segment.h"

/* What makes two generations interchangeable. Returns what differs, NULL for nothing. */
static const char *shape_differs(const struct mxrc_segment *segment,
                                 const struct mxrc_geometry *geometry,
                                 const struct mxrc_region_desc *table)
{
    const struct mxrc_header *header = mxrc_segment_header(segment);
    if (header->period_ns != geometry->period_ns) {
        return "another cycle period";
    }
    if (header->axis_count != geometry->axis_count) {
        return "another number of axes";
    }
    if (header->max_members != geometry->max_members) {
        return "another max_rt_processes";
    }
    if (memcmp(segment->base + MXRC_TABLE_OFFSET, table, sizeof *table * MXRC_REGIONS) != 0) {
        return "rings, names or data store of another size";
    }
    if (header->config_hash != geometry->config_hash) {
        return "another configuration of axes or data keys";
    }
    return NULL;
}

enum verdict { JOIN, REPLACE, REFUSE };

/* `found` is mapped; `result` is what mapping it said. With REFUSE *result becomes the reason. nobody: no RT process of the
 * instance lives. */
static enum verdict judge(const struct mxrc_segment *found, const struct mxrc_geometry *geometry,
                          const struct mxrc_region_desc *table, int nobody, int *result,
                          char *error, size_t error_bytes)
{
    const struct mxrc_header *header = mxrc_segment_header(found);
    uint8_t boot[16];
    mxrc_boot_id(boot);
    if (memcmp(boot, header->boot_id, sizeof boot) != 0) {
        return REPLACE; /* its pids mean nothing any more */
    }
    uint32_t state = mxrc_load_acquire32(&header->state);
    if (state == MXRC_SEGMENT_BUILDING && nobody) {
        return REPLACE; /* we hold the lock, so its creator is gone */
    }
    if (state == MXRC_SEGMENT_BUILDING) {
        *result = mxrc_fail(error, error_bytes, MXRC_OPEN_BUSY,
                            "shared memory %s is unfinished, and an RT process of this instance "
                            "lives: stop that one first",
                            found->name);
        return REFUSE;
    }
    uint32_t pid = 0;
    int live = mxrc_member_live(found, -1, &pid) >= 0;
    if (!live && (*result == MXRC_OPEN_LAYOUT || state != MXRC_SEGMENT_LIVE)) {
        return REPLACE;
    }
    if (*result == MXRC_OPEN_LAYOUT) {
        return REFUSE; /* the message has both hashes */
    }
    const char *difference =
        state == MXRC_SEGMENT_LIVE ? shape_differs(found, geometry, table) : "been stopped";
    if (difference == NULL) {
        return JOIN;
    }
    if (!live) {
        return REPLACE;
    }
    *result = mxrc_fail(error, error_bytes, MXRC_OPEN_BUSY,
                        "shared memory %s is in use by RT process %u and has %s: stop that process "
                        "first, or use the same configuration",
                        found->name, pid, difference);
    return REFUSE;
}

static int join(struct mxrc_segment *segment, char *error, size_t error_bytes)
{
    if (mxrc_member_claim(segment) >= 0) {
        return MXRC_OPEN_OK;
    }
    int result = mxrc_fail(error, error_bytes, MXRC_OPEN_BUSY,
                           "all %u places for RT processes in shared memory %s are taken: stop one "
                           "or raise max_rt_processes in instance.json",
                           mxrc_segment_header(segment)->max_members, segment->name);
    mxrc_segment_unmap(segment);
    return result;
}

static int open_locked(struct mxrc_segment *segment, int lock, const char *name,
                       const struct mxrc_geometry *geometry, int *created, char *error,
                       size_t error_bytes)
{
    struct mxrc_region_desc table[MXRC_REGIONS];
    uint32_t count;
    uint64_t after = 0;
    if (mxrc_geometry_plan(geometry, table, &count, error, error_bytes) == 0) {
        return MXRC_OPEN_SYSTEM;
    }
    int result = mxrc_segment_map(segment, name, MXRC_ACCESS_RT, error, error_bytes);
    if (result == MXRC_OPEN_OK || result == MXRC_OPEN_LAYOUT) {
        int nobody = mxrc_lock_nobody(lock);
        switch (judge(segment, geometry, table, nobody, &result, error, error_bytes)) {
        case JOIN:
            return join(segment, error, error_bytes);
        case REFUSE:
            mxrc_segment_unmap(segment);
            return result;
        case REPLACE:
            after = segment->generation;
            mxrc_segment_unmap(segment);
        }
    } else if (result != MXRC_OPEN_ABSENT &&
               !(result == MXRC_OPEN_CORRUPT && mxrc_lock_nobody(lock))) {
        return result;
    }
    if (result == MXRC_OPEN_ABSENT && error_bytes > 0) {
        error[0] = '\0'; /* nothing was wrong with it */
    }
    result = mxrc_segment_create(segment, name, geometry, after, error, error_bytes);
    if (result != MXRC_OPEN_OK) {
        return result;
    }
    segment->lock = lock;
    *created = 1;
    return join(segment, error, error_bytes);
}

int mxrc_segment_open_rt(struct mxrc_segment *segment, const char *name, const char *lock_path,
                         const struct mxrc_geometry *geometry, int *created, char *error,
                         size_t error_bytes)
{
    *segment =
        (struct mxrc_segment){.access = MXRC_ACCESS_RT, .member = -1, .lock = -1, .presence = -1};
    *created = 0;
    int lock = mxrc_lock_file(lock_path, MXRC_LOCK_WAIT_MS, error, error_bytes);
    if (lock < 0) {
        return MXRC_OPEN_LOCK;
    }
    int result = open_locked(segment, lock, name, geometry, created, error, error_bytes);
    if (result == MXRC_OPEN_OK) {
        segment->presence = mxrc_lock_presence(lock_path);
    } else {
        segment->lock = -1;
        *created = 0;
    }
    if (segment->lock < 0) {
        mxrc_unlock_file(lock);
    }
    return result;
}

int mxrc_segment_publish(struct mxrc_segment *segment)
{
    if (segment->base == NULL || segment->lock < 0) {
        return EINVAL;
    }
    if (mxrc_segment_current(segment) != MXRC_OPEN_OK) {
        return ESTALE; /* the lock file was removed and another creator was faster */
    }
    struct mxrc_header *header = mxrc_segment_header(segment);
    int lock = segment->lock;
    segment->lock = -1;
    header->crc = mxrc_header_crc(
        header, (const struct mxrc_region_desc *)(const void *)(segment->base + MXRC_TABLE_OFFSET));
    /* Everything but the header's page becomes read-only first: once LIVE, it may not change. */
    int problem = mxrc_segment_protect(segment);
    if (problem == 0 && mprotect(header, MXRC_PAGE_BYTES, PROT_READ | PROT_WRITE) != 0) {
        problem = errno;
    }
    if (problem != 0) {
        segment->lock = lock;
        return problem;
    }
    mxrc_store_release32(&header->state, MXRC_SEGMENT_LIVE);
    mprotect(header, MXRC_PAGE_BYTES, PROT_READ);
    mxrc_unlock_file(lock);
    return 0;
}
