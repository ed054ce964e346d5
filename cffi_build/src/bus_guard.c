/* bus_guard.c: one that only looks outlives a segment that is cut short under it.
 *
 * Pages behind the end of an object raise SIGBUS when they are touched. A look before each reading cannot prevent it: the file may be
 * cut in between. So the page that is missing is replaced by an empty one and the reading goes on, of zeros; who reads asks
 * afterwards whether the segment is still the same. A page of anything else than the guarded segment ends the process as before. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

#include "atomic.h"
#include "mxrc/core.h"

/* Written by the thread that guards, read by the handler; `begin` last when a range is named, first when it is taken back. */
static uint64_t begin, bytes;

/* mmap is no function that POSIX names safe in a handler; on Linux it is a system call and no more. */
static void on_bus(int number, siginfo_t *info, void *context)
{
    (void)context;
    int before = errno;
    uint64_t from = mxrc_load_acquire(&begin);
    uint64_t at = (uint64_t)(uintptr_t)info->si_addr;
    if (from != 0 && at >= from && at - from < mxrc_load_relaxed(&bytes)) {
        void *page = (void *)(uintptr_t)(at & ~(uint64_t)(MXRC_PAGE_BYTES - 1));
        if (mmap(page, MXRC_PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) == page) {
            errno = before;
            return;
        }
    }
    /* The same access again, and this time it ends the process. */
    signal(number, SIG_DFL);
}

int mxrc_bus_guard(const struct mxrc_segment *segment)
{
    mxrc_store_release(&begin, 0);
    if (!segment)
        return 0;
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, NULL))
        return errno;
    mxrc_store_relaxed(&bytes, segment->bytes);
    mxrc_store_release(&begin, (uint64_t)(uintptr_t)segment->base);
    return 0;
}
