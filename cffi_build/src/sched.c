/* sched.c: scheduling policy of a thread. glibc before 2.41 has neither sched_setattr nor its struct. */
#define _GNU_SOURCE /* syscall */
#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mxrc/core.h"

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

/* struct sched_attr of the kernel, its first version (48 bytes). */
struct attributes {
    uint32_t size;
    uint32_t sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t sched_runtime;
    uint64_t sched_deadline;
    uint64_t sched_period;
};

int mxrc_sched_set(uint32_t tid, uint32_t policy, uint32_t priority, uint64_t dl_runtime_ns,
                   uint64_t dl_deadline_ns, uint64_t dl_period_ns)
{
    struct attributes wanted = {.size = sizeof wanted, .sched_policy = policy};
    if (policy == SCHED_DEADLINE) {
        wanted.sched_runtime = dl_runtime_ns;
        wanted.sched_deadline = dl_deadline_ns;
        wanted.sched_period = dl_period_ns;
    } else if (policy == SCHED_FIFO || policy == SCHED_RR) {
        wanted.sched_priority = priority;
    } else {
        /* The nice value that it has: another one may need a right that it lacks. On an error it is -1, and the
         * call below fails the same way. */
        wanted.sched_nice = getpriority(PRIO_PROCESS, tid);
    }
    return syscall(SYS_sched_setattr, (long)tid, &wanted, 0L) ? errno : 0;
}
