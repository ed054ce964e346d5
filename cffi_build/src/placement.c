/* placement.c: see placement.h. */
#define _GNU_SOURCE /* CPU affinity, thread names */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "placement.h"

#define MASK_CPUS (64 * 16)
#define PRIORITY_MAX 99

static void warn(struct mxrc_exec *exec, const char *what, int problem)
{
    size_t used = strlen(exec->placement_warning);
    snprintf(exec->placement_warning + used, sizeof exec->placement_warning - used, "%s%s: %s",
             used ? "; " : "", what, strerror(problem));
}

/* The CPUs of a mask but one; how many there are. */
static int to_set(const uint64_t mask[16], uint32_t without, cpu_set_t *set)
{
    _Static_assert(sizeof *set >= 16 * sizeof *mask, "a CPU set holds the mask");
    CPU_ZERO(set);
    for (uint32_t cpu = 0; cpu < MASK_CPUS; cpu++)
        if (mask[cpu / 64] >> (cpu % 64) & 1 && cpu != without)
            CPU_SET(cpu, set);
    return CPU_COUNT(set);
}

static int set_policy(const struct mxrc_exec *exec, uint32_t above)
{
    const struct mxrc_exec_config *config = &exec->config;
    uint32_t priority = config->priority + above;
    if (priority > PRIORITY_MAX)
        priority = PRIORITY_MAX;
    return mxrc_sched_set(0, config->sched_policy, priority, config->dl_runtime_ns,
                          config->dl_deadline_ns, config->dl_period_ns);
}

static void common(const struct mxrc_exec *exec)
{
    if (exec->config.thread_name[0])
        pthread_setname_np(pthread_self(), exec->config.thread_name);
    prctl(PR_SET_TIMERSLACK, 1);
}

void mxrc_place(struct mxrc_exec *exec)
{
    cpu_set_t set;
    common(exec);
    if (to_set(exec->config.cpu_mask, MASK_CPUS, &set) && sched_setaffinity(0, sizeof set, &set))
        warn(exec, "the RT thread is not pinned to its CPUs", errno);
    int problem = set_policy(exec, 0);
    if (problem)
        warn(exec, "the RT thread does not have its scheduling policy and priority", problem);
}

void mxrc_place_standby(struct mxrc_exec *exec, uint32_t primary_cpu)
{
    cpu_set_t set;
    const uint64_t *const masks[] = {exec->config.cpu_mask, exec->config.standby_mask};
    common(exec);
    for (uint32_t i = 0; i < 2; i++)
        if (to_set(masks[i], primary_cpu, &set) && sched_setaffinity(0, sizeof set, &set) == 0) {
            set_policy(exec, 0);
            return;
        }
    set_policy(exec, 1);
}
