/* memory.c: locking and prefaulting. */
#define _GNU_SOURCE /* madvise */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "atomic.h"
#include "memory.h"
#include "segment.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

/* Not the other members' places and lanes, and not what only the main thread and Non-RT use. */
static int touched_by_rt(const struct mxrc_segment *segment, const struct mxrc_region_desc *region)
{
    if (region->writer == MXRC_WRITER_MEMBER)
        return (int)region->member == segment->member;
    return region->id != MXRC_REGION_CURSORS && region->id != MXRC_REGION_ADMIN_REQUEST &&
           region->id != MXRC_REGION_NONRT_DOCUMENT;
}

/* The older way, where the kernel does not know the newer: an atomic "or 0" faults a page in for writing without
 * changing what another process may just be storing there. */
static void touch(uint8_t *start, uint64_t bytes, int write)
{
    for (uint64_t offset = 0; offset < bytes; offset += MXRC_PAGE_BYTES) {
        uint64_t *word = (uint64_t *)(void *)(start + offset);
        if (write)
            __atomic_fetch_or(word, 0, __ATOMIC_RELAXED);
        else
            mxrc_load_relaxed(word);
    }
}

void mxrc_prefault_segment(const struct mxrc_segment *segment)
{
    for (uint32_t id = 0; id < MXRC_REGIONS; id++) {
        const struct mxrc_region_desc *region = mxrc_region_description(segment, id);
        if (!region || !touched_by_rt(segment, region))
            continue;
        uint8_t *start = segment->base + region->offset;
        int write = mxrc_region_writable(segment, region);
        if (madvise(start, region->size, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ))
            touch(start, region->size, write);
    }
}

/* With the privilege the limit does not count. */
static int may_lock_all(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    struct rlimit limit;
    if (syscall(SYS_capget, &header, data) == 0 && data[0].effective & (1u << CAP_IPC_LOCK))
        return 1;
    return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

static int lock_regions(const struct mxrc_segment *segment, uint64_t *locked, uint64_t *all)
{
    int problem = 0;
    for (uint32_t id = 0; id < MXRC_REGIONS; id++) {
        const struct mxrc_region_desc *region = mxrc_region_description(segment, id);
        if (!region || !touched_by_rt(segment, region))
            continue;
        *all += region->size;
        if (mlock(segment->base + region->offset, region->size) == 0)
            *locked += region->size;
        else
            problem = errno;
    }
    return problem;
}

int mxrc_lock_memory(const struct mxrc_segment *segment, char *report, size_t report_bytes)
{
    uint64_t locked = 0, all = 0;
    if (may_lock_all() && mlockall(MCL_CURRENT | MCL_FUTURE) == 0) {
        snprintf(report, report_bytes, "all memory of the process is locked");
        return 0;
    }
    int problem = lock_regions(segment, &locked, &all);
    if (problem == 0) {
        snprintf(report, report_bytes,
                 "only %llu KiB of the shared segment and the RT thread's stack are locked; grant "
                 "CAP_IPC_LOCK or LimitMEMLOCK=infinity",
                 (unsigned long long)(all / 1024));
        problem = EPERM;
    } else {
        snprintf(report, report_bytes,
                 "%llu of %llu KiB of the shared segment are locked (%s); grant CAP_IPC_LOCK or "
                 "LimitMEMLOCK=infinity",
                 (unsigned long long)(locked / 1024), (unsigned long long)(all / 1024),
                 strerror(problem));
    }
    return problem;
}
