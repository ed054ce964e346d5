/* test_lock_file.c: the instance lock, its time limit, and a lock file that is removed under it. */
#define _GNU_SOURCE /* usleep */
#include <errno.h>
#include <signal.h>

#include "fixture.h"

static int hold(void *pipe_end)
{
    int lock = mxrc_lock_file(fixture_lock, 0, error, sizeof error);
    if (lock < 0 || write(*(int *)pipe_end, "x", 1) != 1) {
        return 1;
    }
    pause();
    return 0;
}

static pid_t holder(void)
{
    int ready[2];
    char byte;
    CHECK_EQUAL(pipe(ready), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        _exit(hold(&ready[1]));
    }
    CHECK_EQUAL(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

int main(void)
{
    char pid[32];
    char path[128];
    struct stat status;
    fixture_start();

    pid_t child = holder();
    uint64_t before = mxrc_now_ns();
    CHECK_EQUAL(mxrc_lock_file(fixture_lock, 50, error, sizeof error), -ETIMEDOUT);
    CHECK(mxrc_now_ns() - before >= 50000000);
    snprintf(pid, sizeof pid, "process %ld", (long)child);
    CHECK_HAS(error, pid);
    CHECK_HAS(error, fixture_lock);
    /* The kernel gives it back when the holder dies. */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    int lock = mxrc_lock_file(fixture_lock, 0, error, sizeof error);
    CHECK(lock >= 0);
    CHECK_EQUAL(fstat(lock, &status), 0);
    CHECK_EQUAL(status.st_mode & 0777, 0660);
    CHECK_EQUAL(mxrc_lock_file(fixture_lock, 0, error, sizeof error), -ETIMEDOUT);
    mxrc_unlock_file(lock);

    /* Removed while held: who comes later makes a new file and gets that. Who waited on the old one must not take it. */
    child = holder();
    fflush(stdout);
    pid_t waiter = fork();
    if (waiter == 0) {
        lock = mxrc_lock_file(fixture_lock, 5000, error, sizeof error);
        struct stat named;
        _exit(lock < 0 || fstat(lock, &status) != 0 || stat(fixture_lock, &named) != 0 ||
              status.st_ino != named.st_ino);
    }
    usleep(30000);
    unlink(fixture_lock);
    lock = mxrc_lock_file(fixture_lock, 0, error, sizeof error);
    CHECK(lock >= 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    usleep(30000);
    int end = -1;
    CHECK_EQUAL(waitpid(waiter, &end, WNOHANG), 0); /* still waiting: the new file is locked */
    mxrc_unlock_file(lock);
    CHECK_EQUAL(waitpid(waiter, &end, 0), waiter);
    CHECK_EQUAL(end, 0);

    snprintf(path, sizeof path, "%s/absent/lock", fixture_folder);
    CHECK_EQUAL(mxrc_lock_file(path, 0, error, sizeof error), -ENOENT);
    CHECK_HAS(error, path);
    snprintf(path, sizeof path, "%s/link", fixture_folder);
    CHECK_EQUAL(symlink("/dev/null", path), 0);
    CHECK_EQUAL(mxrc_lock_file(path, 0, error, sizeof error), -ELOOP);
    CHECK_HAS(error, "symbolic link");
    unlink(path);

    struct mxrc_segment segment;
    struct mxrc_geometry geometry = fixture_geometry();
    int created;
    snprintf(path, sizeof path, "%s/absent/lock", fixture_folder);
    CHECK_EQUAL(mxrc_segment_open_rt(&segment, fixture_name, path, &geometry, &created, error,
                                     sizeof error),
                MXRC_OPEN_LOCK);
    return test_summary();
}
