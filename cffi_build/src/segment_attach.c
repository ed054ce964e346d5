/* segment_attach.c: joining without making anything, leaving, and noticing that a generation is over. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomic.h"
#include "error.h"
#include "segment.h"

/* Two Non-RT processes would be two writers of the command queue. */
static int nonrt_taken(const struct mxrc_segment *segment, uint32_t *pid)
{
    const struct mxrc_nonrt_status *status = mxrc_region(segment, MXRC_REGION_NONRT_STATUS, NULL);
    *pid = mxrc_load_acquire32(&status->pid);
    return *pid != 0 && *pid != (uint32_t)getpid() &&
           mxrc_process_alive(*pid, mxrc_load_relaxed(&status->process_start));
}

static int admit(const struct mxrc_segment *segment, char *error, size_t error_bytes)
{
    const struct mxrc_header *header = mxrc_segment_header(segment);
    const char *name = segment->name;
    uint32_t state = mxrc_load_acquire32(&header->state); /* LIVE: all the creator wrote is seen */
    uint32_t pid;
    uint8_t boot[16];

    switch (state) {
    case MXRC_SEGMENT_BUILDING:
        return mxrc_fail(error, error_bytes, MXRC_OPEN_BUILDING,
                         "shared memory %s is being made by process %u: try again", name,
                         header->creator_pid);
    case MXRC_SEGMENT_LIVE:
    case MXRC_SEGMENT_RETIRED:
        break;
    default:
        return mxrc_fail(error, error_bytes, MXRC_OPEN_CORRUPT,
                         "shared memory %s is in state %u, there are 0 to %d", name, state,
                         MXRC_SEGMENT_RETIRED);
    }
    if (segment->access == MXRC_ACCESS_READ) {
        return MXRC_OPEN_OK;
    }
    mxrc_boot_id(boot);
    if (state == MXRC_SEGMENT_RETIRED || memcmp(boot, header->boot_id, sizeof boot) != 0) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_ABSENT,
                         "shared memory %s is a leftover (%s): waiting for an RT process", name,
                         state == MXRC_SEGMENT_RETIRED ? "stopped in order" : "of an earlier boot");
    }
    if (nonrt_taken(segment, &pid)) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_BUSY,
                         "Non-RT process %u is attached to shared memory %s and alive: there can "
                         "be only one, stop it first",
                         pid, name);
    }
    return MXRC_OPEN_OK;
}

int mxrc_segment_attach(struct mxrc_segment *segment, const char *name, int access, char *error,
                        size_t error_bytes)
{
    if (access != MXRC_ACCESS_READ && access != MXRC_ACCESS_NONRT) {
        *segment = (struct mxrc_segment){.member = -1, .lock = -1, .presence = -1};
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM,
                         "RT processes open shared memory %s with mxrc_segment_open_rt", name);
    }
    int result = mxrc_segment_map(segment, name, access, error, error_bytes);
    if (result == MXRC_OPEN_OK) {
        result = admit(segment, error, error_bytes);
    }
    if (result == MXRC_OPEN_OK) {
        int problem = mxrc_segment_protect(segment);
        if (problem != 0) {
            result = mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM,
                               "cannot make regions of shared memory %s writable: %s", name,
                               strerror(problem));
        }
    }
    if (result != MXRC_OPEN_OK) {
        mxrc_segment_unmap(segment);
    }
    return result;
}

void mxrc_segment_detach(struct mxrc_segment *segment)
{
    if (segment->base == NULL) {
        return;
    }
    mxrc_member_release(segment);
    mxrc_unlock_file(segment->presence);
    segment->presence = -1;
    if (segment->lock >= 0) {
        /* Never published, so nobody else has it; the lock makes the name still ours. */
        shm_unlink(segment->name);
        mxrc_unlock_file(segment->lock);
        segment->lock = -1;
    }
    mxrc_segment_unmap(segment);
}

int mxrc_segment_current(const struct mxrc_segment *segment)
{
    struct mxrc_header header;
    struct stat object;
    int descriptor = shm_open(segment->name, O_RDONLY, 0);
    if (descriptor < 0) {
        return errno == ENOENT ? MXRC_OPEN_ABSENT : MXRC_OPEN_FOREIGN;
    }
    ssize_t bytes = pread(descriptor, &header, sizeof header, 0);
    int whole = fstat(descriptor, &object) == 0 && (uint64_t)object.st_size >= segment->bytes;
    close(descriptor);
    return whole && bytes == (ssize_t)sizeof header && header.magic == MXRC_MAGIC &&
                   header.generation == segment->generation
               ? MXRC_OPEN_OK
               : MXRC_OPEN_FOREIGN;
}

static int retire_locked(struct mxrc_segment *segment, char *error, size_t error_bytes)
{
    struct mxrc_header *header = mxrc_segment_header(segment);
    uint32_t pid = 0;
    int result = mxrc_segment_current(segment);
    if (result != MXRC_OPEN_OK) {
        return mxrc_fail(error, error_bytes, result,
                         "shared memory %s is not generation %" PRIu64 " any more: left alone",
                         segment->name, segment->generation);
    }
    if (mxrc_member_live(segment, segment->member, &pid) >= 0) {
        mxrc_member_release(
            segment); /* under the lock: of several that end at once the last retires */
        return mxrc_fail(error, error_bytes, MXRC_OPEN_BUSY,
                         "shared memory %s stays: RT process %u is attached too", segment->name,
                         pid);
    }
    if (mprotect(header, MXRC_PAGE_BYTES, PROT_READ | PROT_WRITE) != 0) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM,
                         "cannot mark shared memory %s as retired: %s", segment->name,
                         strerror(errno));
    }
    mxrc_store_release32(&header->state, MXRC_SEGMENT_RETIRED);
    mprotect(header, MXRC_PAGE_BYTES, PROT_READ);
    mxrc_segment_remove_draft(segment->name);
    if (shm_unlink(segment->name) != 0) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM, "cannot remove shared memory %s: %s",
                         segment->name, strerror(errno));
    }
    return MXRC_OPEN_OK;
}

int mxrc_segment_retire(struct mxrc_segment *segment, const char *lock_path, char *error,
                        size_t error_bytes)
{
    if (segment->base == NULL || segment->access != MXRC_ACCESS_RT || segment->lock >= 0) {
        return mxrc_fail(error, error_bytes, MXRC_OPEN_SYSTEM,
                         "only an RT process retires a generation, and only a published one");
    }
    int lock = mxrc_lock_file(lock_path, MXRC_LOCK_WAIT_MS, error, error_bytes);
    if (lock < 0) {
        return MXRC_OPEN_LOCK;
    }
    int result = retire_locked(segment, error, error_bytes);
    mxrc_unlock_file(lock);
    return result;
}
