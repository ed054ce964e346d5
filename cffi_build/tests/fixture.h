/* fixture.h: segments for tests, in names and a folder of the test's own, removed at its end. */
#ifndef MXRC_FIXTURE_H
#define MXRC_FIXTURE_H

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mxrc/core.h"
#include "test.h"

static char fixture_folder[64];
static char fixture_lock[96];
static char fixture_name[48];
static pid_t fixture_pid;
static char error[512];
static uint32_t fixture_cycle_slots = 64;

__attribute__((unused)) static void fixture_remove(void)
{
    if (getpid() != fixture_pid) {
        return; /* a child that ended by exit */
    }
    char draft[64];
    snprintf(draft, sizeof draft, "%s.new", fixture_name);
    shm_unlink(draft);
    shm_unlink(fixture_name);
    unlink(fixture_lock);
    rmdir(fixture_folder);
}

__attribute__((unused)) static void fixture_start(void)
{
    fixture_pid = getpid();
    strcpy(fixture_folder, "/tmp/mxrc-test-XXXXXX");
    if (mkdtemp(fixture_folder) == NULL) {
        perror("mkdtemp");
        exit(EXIT_FAILURE);
    }
    snprintf(fixture_lock, sizeof fixture_lock, "%s/lock", fixture_folder);
    snprintf(fixture_name, sizeof fixture_name, "/mxrc-test-%ld", (long)fixture_pid);
    atexit(fixture_remove);
}

/* Small rings, so that readers are lapped soon. */
__attribute__((unused)) static struct mxrc_geometry fixture_geometry(void)
{
    return (struct mxrc_geometry){
        .instance = "test",
        .build = "0.0.0",
        .config_hash = 0x1234,
        .period_ns = 1000000,
        .axis_count = 6,
        .max_members = 2,
        .cycle_slots = fixture_cycle_slots,
        .event_slots = 32,
        .command_slots = 8,
        .staging_slots = 2,
        .names_rt = 8,
        .names_nonrt = 8,
        .data_keys = 8,
        .data_rt_cells = 8,
        .data_nonrt_cells = 8,
    };
}

__attribute__((unused)) static int fixture_open(struct mxrc_segment *segment, int *created)
{
    struct mxrc_geometry geometry = fixture_geometry();
    error[0] = '\0';
    return mxrc_segment_open_rt(segment, fixture_name, fixture_lock, &geometry, created, error,
                                sizeof error);
}

/* A published generation, or the end of the test. */
__attribute__((unused)) static void fixture_live(struct mxrc_segment *segment)
{
    int created;
    if (fixture_open(segment, &created) != MXRC_OPEN_OK ||
        (created && mxrc_segment_publish(segment) != 0)) {
        printf("no segment: %s\n", error);
        exit(EXIT_FAILURE);
    }
}

__attribute__((unused)) static int fixture_attach(struct mxrc_segment *segment, int access)
{
    error[0] = '\0';
    return mxrc_segment_attach(segment, fixture_name, access, error, sizeof error);
}

/* Runs `body` in a child; returns its wait status. */
__attribute__((unused)) static int fixture_child(int (*body)(void *), void *argument)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        _exit(body(argument));
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

/* Zeroed memory that children share. */
__attribute__((unused)) static void *fixture_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(EXIT_FAILURE);
    }
    return memory;
}

/* ---- workers: processes, or threads where ThreadSanitizer is to see both sides ---- */

struct fixture_worker {
    void (*body)(void *argument);
    void *argument;
    pid_t process;
    pthread_t thread;
};

__attribute__((unused)) static void *fixture_thread(void *worker)
{
    struct fixture_worker *self = worker;
    self->body(self->argument);
    return NULL;
}

__attribute__((unused)) static void fixture_work(struct fixture_worker *worker)
{
    fflush(stdout);
#ifdef MXRC_TSAN
    pthread_create(&worker->thread, NULL, fixture_thread, worker);
#else
    worker->process = fork();
    if (worker->process == 0) {
        worker->body(worker->argument);
        _exit(EXIT_SUCCESS);
    }
#endif
}

/* 1 when it ended well. */
__attribute__((unused)) static int fixture_wait(struct fixture_worker *worker)
{
#ifdef MXRC_TSAN
    return pthread_join(worker->thread, NULL) == 0;
#else
    int status = -1;
    waitpid(worker->process, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
#endif
}

#endif
