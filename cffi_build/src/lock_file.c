/* lock_file.c: the instance lock, and who is there.
 *
 * An open-file-description lock on byte 0 of a file that is never replaced guards creating, replacing and
 * retiring a generation; each attached RT process shares the lock on byte 1 for as long as it lives, so that whether one does can
 * be told without believing a segment that is damaged. The kernel drops it when its holder dies. Locking the shared-memory object itself would not do: once
 * it is unlinked, two processes can hold the lock of two objects with one name. */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "mxrc/core.h"

#define POLL_NS 5000000L
#define OWNER_BYTE 0
#define PRESENCE_BYTE 1

/* Somebody may have removed the file (a cleaner of /tmp): then the lock taken is not the lock. */
static int still_named(int descriptor, const char *path)
{
    struct stat held;
    struct stat named;
    return fstat(descriptor, &held) == 0 && stat(path, &named) == 0 &&
           held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

/* The umask took the group's rights away. Where they cannot be given back, the group's other users are
 * refused with a message; the lock is as good. */
static void share_with_group(int descriptor)
{
    struct stat status;
    if (fstat(descriptor, &status) == 0 && status.st_uid == geteuid() &&
        (status.st_mode & 0777) != 0660 && fchmod(descriptor, 0660) != 0) {
        return;
    }
}

/* Only for the message: the holder's pid, written into the file by its holder; 0 unknown. */
static long holder(int descriptor)
{
    char text[24] = "";
    return pread(descriptor, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static void sign(int descriptor)
{
    char text[24];
    int bytes = snprintf(text, sizeof text, "%-11ld\n", (long)getpid());
    if (pwrite(descriptor, text, (size_t)bytes, 0) < 0) {
        return; /* a full disk: the lock holds without it */
    }
}

int mxrc_lock_file(const char *path, int timeout_ms, char *error, size_t error_bytes)
{
    uint64_t deadline = mxrc_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000u;
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = OWNER_BYTE, .l_len = 1};

    for (;;) {
        int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
        if (descriptor < 0) {
            int problem = errno;
            return mxrc_fail(error, error_bytes, -problem,
                             "cannot open the lock file %s: %s; its folder must exist and be "
                             "writable for this user",
                             path, problem == ELOOP ? "is a symbolic link" : strerror(problem));
        }
        share_with_group(descriptor);
        while (fcntl(descriptor, F_OFD_SETLK, &lock) != 0) {
            int problem = errno;
            if (problem != EAGAIN && problem != EACCES && problem != EINTR) {
                close(descriptor);
                return mxrc_fail(error, error_bytes, -problem, "cannot lock %s: %s", path,
                                 strerror(problem));
            }
            if (mxrc_now_ns() >= deadline) {
                long pid = holder(descriptor);
                close(descriptor);
                return mxrc_fail(error, error_bytes, -ETIMEDOUT,
                                 "the instance lock %s was not to be had within %d ms: process "
                                 "%ld holds it",
                                 path, timeout_ms, pid);
            }
            nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        }
        if (still_named(descriptor, path)) {
            sign(descriptor);
            return descriptor;
        }
        close(descriptor);
    }
}

void mxrc_unlock_file(int descriptor)
{
    if (descriptor >= 0) {
        close(descriptor);
    }
}

int mxrc_lock_presence(const char *path)
{
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = PRESENCE_BYTE, .l_len = 1};
    int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor >= 0 && fcntl(descriptor, F_OFD_SETLK, &lock) != 0) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

int mxrc_lock_nobody(int descriptor)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = PRESENCE_BYTE, .l_len = 1};
    return fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}
