/* segment_create.c: a whole new generation; see segment.h for its life. Under the instance lock. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "error.h"
#include "segment.h"

#define MIB (1024.0 * 1024.0)

/* Takes the pages now: a full /dev/shm is an answer here and a SIGBUS in the cycle otherwise. */
static int reserve(int descriptor, const char *name, uint64_t bytes, char *error,
                   size_t error_bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < bytes) {
        /* Not left to posix_fallocate, which would raise SIGXFSZ. */
        return mxrc_fail(error, error_bytes, MXRC_OPEN_NO_SPACE,
                         "shared memory %s needs %" PRIu64 " bytes (%.1f MiB), the file size limit "
                         "(ulimit -f) allows %" PRIu64 " bytes: raise it, or make the rings in "
                         "instance.json smaller",
                         name, bytes, (double)bytes / MIB, (uint64_t)limit.rlim_cur);
    }
    int problem;
    do {
        problem = posix_fallocate(descriptor, 0, (off_t)bytes);
    } while (problem == EINTR);
    if (problem == 0) {
        return MXRC_OPEN_OK;
    }
    struct statvfs room = {0};
    if ((problem == ENOSPC || problem == EFBIG || problem == ENOMEM) &&
        ftruncate(descriptor, 0) == 0 && fstatvfs(descriptor, &room) == 0) {
        uint64_t available = (uint64_t)room.f_bavail * room.f_frsize;
        return mxrc_fail(error, error_bytes, MXRC_OPEN_NO_SPACE,
                         "shared memory %s needs %" PRIu64 " bytes (%.1f MiB), " MXRC_SHM_DIR
                         " has %" PRIu64 " bytes (%.1f MiB) available: enlarge it (Docker: "
                         "--shm-size), remove leftovers, or make the rings in instance.json "
                         "smaller",
                         name, bytes, (double)bytes / MIB, available, (double)available / MIB);
    }
    return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM,
                     "cannot reserve %" PRIu64 " bytes for shared memory %s: %s", bytes, name,
                     strerror(problem));
}

/* Robust, so that the kernel hands it on when its holder dies, and not priority-inheriting: that kind makes
 * glibc abort when the memory of a dead owner is mapped anew. */
static int init_mutex(struct mxrc_lease *lease)
{
    pthread_mutexattr_t attributes;
    int problem = pthread_mutexattr_init(&attributes);
    if (problem != 0) {
        return problem;
    }
    problem = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (problem == 0) {
        problem = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    }
    if (problem == 0) {
        problem = pthread_mutex_init((pthread_mutex_t *)(void *)lease->mutex, &attributes);
    }
    pthread_mutexattr_destroy(&attributes);
    return problem;
}

static void init_ring(const struct mxrc_segment *segment, const struct mxrc_region_desc *region)
{
    struct mxrc_ring_header *ring = mxrc_region(segment, region->id, NULL);
    ring->capacity = region->element_count;
    ring->slot_bytes = region->element_bytes;
}

/* Fresh pages are zero: what is not written here starts as 0. */
static int fill(struct mxrc_segment *segment, const struct mxrc_geometry *geometry,
                const struct mxrc_region_desc *table, uint32_t count, uint64_t after)
{
    struct mxrc_header *header = mxrc_segment_header(segment);
    memcpy(segment->base + MXRC_TABLE_OFFSET, table, sizeof *table * MXRC_REGIONS);
    header->magic = MXRC_MAGIC;
    header->layout_version = MXRC_LAYOUT_VERSION;
    header->header_bytes = sizeof *header;
    header->layout_hash = mxrc_layout_hash();
    header->segment_bytes = segment->bytes;
    header->generation = mxrc_realtime_ns();
    if (header->generation <= after) {
        header->generation = after + 1; /* the clock was set back: still another name */
    }
    header->created_monotonic_ns = mxrc_now_ns();
    header->creator_pid = (uint32_t)getpid();
    header->creator_uid = geteuid();
    header->region_count = count;
    header->state = MXRC_SEGMENT_BUILDING;
    mxrc_boot_id(header->boot_id);
    header->config_hash = geometry->config_hash;
    header->period_ns = geometry->period_ns;
    header->axis_count = geometry->axis_count;
    header->max_members = geometry->max_members;
    memcpy(header->instance, geometry->instance, sizeof header->instance - 1);
    memcpy(header->build, geometry->build, sizeof header->build - 1);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = table[i].id;
        if (id == MXRC_REGION_CYCLE_RING || id == MXRC_REGION_COMMANDS ||
            (id >= MXRC_REGION_LANE && id < MXRC_REGION_LANE + MXRC_LANES)) {
            init_ring(segment, &table[i]);
        }
    }
    struct mxrc_names *names_rt = mxrc_region(segment, MXRC_REGION_NAMES_RT, NULL);
    struct mxrc_names *names_nonrt = mxrc_region(segment, MXRC_REGION_NAMES_NONRT, NULL);
    names_rt->capacity = geometry->names_rt;
    names_nonrt->capacity = geometry->names_nonrt;

    segment->generation = header->generation;
    header->crc = mxrc_header_crc(header, table);
    return init_mutex(mxrc_region(segment, MXRC_REGION_LEASE, NULL));
}

static int build(struct mxrc_segment *segment, int descriptor, const struct mxrc_geometry *geometry,
                 const struct mxrc_region_desc *table, uint32_t count, uint64_t after, char *error,
                 size_t error_bytes)
{
    const char *name = segment->name;
    int result = reserve(descriptor, name, segment->bytes, error, error_bytes);
    if (result != MXRC_OPEN_OK) {
        return result;
    }
    if (fchmod(descriptor, 0660) != 0) { /* the umask has taken the group's rights away */
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM,
                         "cannot set the mode of shared memory %s: %s", name, strerror(errno));
    }
    void *base = mmap(NULL, segment->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (base == MAP_FAILED) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM, "cannot map shared memory %s: %s",
                         name, strerror(errno));
    }
    segment->base = base;
    int problem = fill(segment, geometry, table, count, after);
    if (problem != 0) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM,
                         "cannot make the robust mutex of shared memory %s: %s", name,
                         strerror(problem));
    }
    return MXRC_OPEN_OK;
}

static void draft_name(char draft[MXRC_TEXT_BYTES + 8], const char *name)
{
    snprintf(draft, MXRC_TEXT_BYTES + 8, "%s.new", name);
}

void mxrc_segment_remove_draft(const char *name)
{
    char draft[MXRC_TEXT_BYTES + 8];
    draft_name(draft, name);
    shm_unlink(draft);
}

int mxrc_segment_create(struct mxrc_segment *segment, const char *name,
                        const struct mxrc_geometry *geometry, uint64_t after, char *error,
                        size_t error_bytes)
{
    struct mxrc_region_desc table[MXRC_REGIONS];
    uint32_t count;
    char draft[MXRC_TEXT_BYTES + 8];
    char from[sizeof MXRC_SHM_DIR + sizeof draft];
    char to[sizeof from];

    *segment =
        (struct mxrc_segment){.access = MXRC_ACCESS_RT, .member = -1, .lock = -1, .presence = -1};
    segment->bytes = mxrc_geometry_plan(geometry, table, &count, error, error_bytes);
    if (segment->bytes == 0) {
        return MXRC_OPEN_SYSTEM;
    }
    snprintf(segment->name, sizeof segment->name, "%s", name);
    draft_name(draft, segment->name);
    snprintf(from, sizeof from, MXRC_SHM_DIR "%s", draft);
    snprintf(to, sizeof to, MXRC_SHM_DIR "%s", segment->name);

    mxrc_segment_remove_draft(name);
    int descriptor = shm_open(draft, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (descriptor < 0) {
        return mxrc_fail(error, error_bytes,
                         errno == ENOSPC ? MXRC_OPEN_NO_SPACE : MXRC_OPEN_SYSTEM,
                         "cannot create shared memory %s: %s", draft, strerror(errno));
    }
    int result = build(segment, descriptor, geometry, table, count, after, error, error_bytes);
    close(descriptor);
    if (result == MXRC_OPEN_OK && rename(from, to) != 0) {
        result = mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM, "cannot name shared memory %s: %s",
                           name, strerror(errno));
    }
    if (result != MXRC_OPEN_OK) {
        shm_unlink(draft);
        mxrc_segment_unmap(segment);
    }
    return result;
}
