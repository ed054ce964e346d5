/* thread.c: the RT thread: made by the main thread, placed by itself. */
#define _GNU_SOURCE /* CPU affinity, thread names, sem_clockwait */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "exec.h"

#define STACK_BYTES (512 * 1024)
#define PREFAULT_BYTES (256 * 1024)

enum { NONE = 0, RUNNING = 1, ENDED = 2 };

/* Touches the stack that the cycle will use, and locks it where memory is not locked as a whole. */
static void __attribute__((noinline)) prefault_stack(void)
{
    volatile uint8_t page[PREFAULT_BYTES];
    for (size_t i = 0; i < sizeof page; i += MXRC_PAGE_BYTES)
        page[i] = 0;
    mlock((const void *)(uintptr_t)page, sizeof page);
}

static void warn(struct mxrc_exec *exec, const char *what, int problem)
{
    size_t used = strlen(exec->placement_warning);
    snprintf(exec->placement_warning + used, sizeof exec->placement_warning - used, "%s%s: %s",
             used ? "; " : "", what, strerror(problem));
}

static void set_affinity(struct mxrc_exec *exec)
{
    cpu_set_t set;
    int any = 0;
    _Static_assert(sizeof set >= sizeof exec->config.cpu_mask, "a CPU set holds the mask");
    CPU_ZERO(&set);
    for (uint32_t cpu = 0; cpu < 64 * 16; cpu++) {
        if (!(exec->config.cpu_mask[cpu / 64] >> (cpu % 64) & 1))
            continue;
        CPU_SET(cpu, &set);
        any = 1;
    }
    if (any && sched_setaffinity(0, sizeof set, &set))
        warn(exec, "the RT thread is not pinned to its CPUs", errno);
}

static void set_policy(struct mxrc_exec *exec)
{
    int policy = (int)exec->config.sched_policy;
    struct sched_param parameter = {.sched_priority = (int)exec->config.priority};
    if (policy == SCHED_OTHER)
        parameter.sched_priority = 0;
    if (sched_setscheduler(0, policy, &parameter))
        warn(exec, "the RT thread does not have its scheduling policy and priority", errno);
}

static void place(struct mxrc_exec *exec)
{
    if (exec->config.thread_name[0])
        pthread_setname_np(pthread_self(), exec->config.thread_name);
    prctl(PR_SET_TIMERSLACK, 1);
    set_affinity(exec);
    set_policy(exec);
    prefault_stack();
}

static void *rt_thread(void *argument)
{
    struct mxrc_exec *exec = argument;
    place(exec);
    int result = mxrc_exec_begin(exec, exec->begin_error, sizeof exec->begin_error);
    int begun = result == 0;
    mxrc_store_release32(&exec->outside.result, (uint32_t)result);
    sem_post(&exec->begun);
    while (result == 0)
        result = mxrc_exec_cycle(exec);
    if (begun) {
        mxrc_exec_end(exec);
        mxrc_store_relaxed32(&exec->outside.result, result == 1 ? 0 : (uint32_t)result);
    }
    mxrc_store_release32(&exec->outside.thread, ENDED);
    sem_post(&exec->ended);
    return NULL;
}

/* The RT thread takes no signal: they are the main thread's. */
static int create(struct mxrc_exec *exec)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int result = pthread_attr_init(&attributes);
    if (result)
        return result;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&exec->thread, &attributes, rt_thread, exec);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return result;
}

int mxrc_exec_start(struct mxrc_exec *exec, char *error, size_t error_bytes)
{
    if (error_bytes)
        error[0] = '\0';
    if (exec->thread_made)
        return mxrc_fail(error, error_bytes, EBUSY, "the RT thread was started before");
    mxrc_store_release32(&exec->outside.thread, RUNNING);
    int result = create(exec);
    if (result) {
        mxrc_store_release32(&exec->outside.thread, NONE);
        return mxrc_fail(error, error_bytes, result, "the RT thread cannot be created: %s",
                         strerror(result));
    }
    exec->thread_made = 1;
    while (sem_wait(&exec->begun) && errno == EINTR)
        continue;
    if (mxrc_load_acquire32(&exec->outside.result) && exec->begin_error[0]) {
        result = mxrc_exec_result(exec);
        mxrc_exec_join(exec, -1);
        return mxrc_fail(error, error_bytes, result, "%s", exec->begin_error);
    }
    if (exec->placement_warning[0])
        mxrc_fail(error, error_bytes, 0, "%s", exec->placement_warning);
    return 0;
}

int mxrc_exec_running(const struct mxrc_exec *exec)
{
    return mxrc_load_acquire32(&exec->outside.thread) == RUNNING;
}

int mxrc_exec_join(struct mxrc_exec *exec, int timeout_ms)
{
    if (!exec->thread_made || exec->thread_joined)
        return 0;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int result;
    do
        result = timeout_ms < 0 ? sem_wait(&exec->ended)
                                : sem_clockwait(&exec->ended, CLOCK_MONOTONIC, &until);
    while (result && errno == EINTR);
    if (result)
        return errno;
    pthread_join(exec->thread, NULL);
    exec->thread_joined = 1;
    return 0;
}

int mxrc_exec_result(const struct mxrc_exec *exec)
{
    return (int)mxrc_load_acquire32(&exec->outside.result);
}
