/* test_thread_memory.c: the memory policy of other threads: in force, not forced on one that blocks signals, nor later. */
#define _GNU_SOURCE /* syscall, gettid */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../src/atomic.h"
#include "mxrc/core.h"
#include "test.h"

#define BIND 2
#define TIMEOUT_MS 2000
#define SHORT_MS 50

struct worker {
    pthread_t thread;
    uint32_t tid;
    int deaf; /* blocks every signal until `go` */
    int mode; /* its policy at its end */
    unsigned long nodes[16];
    int interrupted; /* its wait ended with EINTR, which SA_RESTART prevents */
    sem_t ready, go;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    sigset_t all, before;
    sigfillset(&all);
    if (worker->deaf)
        pthread_sigmask(SIG_SETMASK, &all, &before);
    worker->tid = (uint32_t)gettid();
    sem_post(&worker->ready);
    worker->interrupted = sem_wait(&worker->go) && errno == EINTR;
    if (worker->deaf) /* what is pending is delivered here */
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    syscall(SYS_get_mempolicy, &worker->mode, worker->nodes, 1024ul, NULL, 0ul);
    return NULL;
}

static void begin(struct worker *worker, int deaf)
{
    memset(worker, 0, sizeof *worker);
    worker->deaf = deaf;
    sem_init(&worker->ready, 0, 0);
    sem_init(&worker->go, 0, 0);
    CHECK_EQUAL(pthread_create(&worker->thread, NULL, work, worker), 0);
    sem_wait(&worker->ready);
}

static void end(struct worker *worker)
{
    sem_post(&worker->go);
    pthread_join(worker->thread, NULL);
}

static void test_it_is_in_force_in_that_thread_alone(void)
{
    const uint64_t node_0 = 1;
    struct worker one, other;
    begin(&one, 0);
    begin(&other, 0);
    CHECK_EQUAL(mxrc_thread_memory_policy(one.tid, BIND, &node_0, 1, TIMEOUT_MS), 0);
    end(&one);
    end(&other);
    CHECK_EQUAL(one.mode, BIND);
    CHECK_EQUAL(one.nodes[0], 1);
    CHECK_EQUAL(one.interrupted, 0);
    CHECK_EQUAL(other.mode, 0);
}

static void test_back_to_the_default(void)
{
    const uint64_t node_0 = 1;
    struct worker one;
    begin(&one, 0);
    CHECK_EQUAL(mxrc_thread_memory_policy(one.tid, BIND, &node_0, 1, TIMEOUT_MS), 0);
    CHECK_EQUAL(mxrc_thread_memory_policy(one.tid, 0, NULL, 0, TIMEOUT_MS), 0);
    end(&one);
    CHECK_EQUAL(one.mode, 0);
}

static void test_a_refusal_is_the_kernels(void)
{
    const uint64_t none = 0;
    struct worker one;
    begin(&one, 0);
    CHECK_EQUAL(mxrc_thread_memory_policy(one.tid, BIND, &none, 1, TIMEOUT_MS), EINVAL);
    end(&one);
    CHECK_EQUAL(one.mode, 0);
    CHECK_EQUAL(mxrc_thread_memory_policy(one.tid, BIND, &none, 1, TIMEOUT_MS), ESRCH);
    CHECK_EQUAL(mxrc_thread_memory_policy(0, BIND, &none, 1, TIMEOUT_MS), EINVAL);
    CHECK_EQUAL(mxrc_thread_memory_policy(one.tid, BIND, &none, 17, TIMEOUT_MS), EINVAL);
}

/* Its signal comes after it was given up, while another thread is asked something else. */
static void test_one_that_answers_too_late_does_nothing(void)
{
    const uint64_t node_0 = 1;
    struct worker late, one;
    begin(&late, 1);
    begin(&one, 0);
    CHECK_EQUAL(mxrc_thread_memory_policy(late.tid, BIND, &node_0, 1, SHORT_MS), ETIMEDOUT);
    end(&late);
    CHECK_EQUAL(late.mode, 0);
    CHECK_EQUAL(mxrc_thread_memory_policy(one.tid, BIND, &node_0, 1, TIMEOUT_MS), 0);
    end(&one);
    CHECK_EQUAL(one.mode, BIND);
}

static void test_the_caller_itself(void)
{
    const uint64_t node_0 = 1;
    int mode = -1;
    CHECK_EQUAL(mxrc_thread_memory_policy((uint32_t)gettid(), BIND, &node_0, 1, TIMEOUT_MS), 0);
    syscall(SYS_get_mempolicy, &mode, NULL, 0ul, NULL, 0ul);
    CHECK_EQUAL(mode, BIND);
    CHECK_EQUAL(mxrc_thread_memory_policy((uint32_t)gettid(), 0, NULL, 0, TIMEOUT_MS), 0);
    syscall(SYS_get_mempolicy, &mode, NULL, 0ul, NULL, 0ul);
    CHECK_EQUAL(mode, 0);
}

int main(void)
{
    int mode;
    if (syscall(SYS_get_mempolicy, &mode, NULL, 0ul, NULL, 0ul)) {
        printf("no NUMA support here (%s): nothing to see\n", strerror(errno));
        return 0;
    }
    test_it_is_in_force_in_that_thread_alone();
    test_back_to_the_default();
    test_a_refusal_is_the_kernels();
    test_one_that_answers_too_late_does_nothing();
    test_the_caller_itself();
    return test_summary();
}
