/* thread.c: the RT thread: made by the main thread, placed by itself. */
#define _GNU_SOURCE /* sem_clockwait */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "error.h"
#include "exec.h"
#include "memory.h"
#include "placement.h"
#include "standby.h"

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

/* Until it is PRIMARY: 0, 1 when STOP came first, else an errno. */
static int stand_by(struct mxrc_exec *exec)
{
    exec->begin_error[0] = '\0';
    mxrc_standby_begin(exec);
    sem_post(&exec->begun);
    return mxrc_standby_run(exec, exec->begin_error, sizeof exec->begin_error);
}

static void *rt_thread(void *argument)
{
    struct mxrc_exec *exec = argument;
    /* Before it is placed: a PRIMARY that runs already would have to wait for this. */
    prefault_stack();
    mxrc_prefault_segment(exec->segment);
    int cpu = exec->config.standby ? mxrc_standby_primary_cpu(exec) : -1;
    if (cpu < 0)
        mxrc_place(exec);
    else
        mxrc_place_standby(exec, (uint32_t)cpu);
    int result = mxrc_exec_begin(exec, exec->begin_error, sizeof exec->begin_error);
    int begun = result == 0;
    if (begun && cpu >= 0)
        mxrc_place(exec); /* it has gone meanwhile */
    if (result == EBUSY && exec->config.standby) {
        begun = 1;
        result = stand_by(exec);
    } else {
        mxrc_store_release32(&exec->outside.result, (uint32_t)result);
        sem_post(&exec->begun);
    }
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

const char *mxrc_exec_reason(const struct mxrc_exec *exec)
{
    return exec->begin_error;
}
