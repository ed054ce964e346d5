/* process.c: is the process that claimed something still the same one, and alive? */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mxrc/core.h"

struct stat_line {
    char state;
    unsigned long threads;
    uint64_t start; /* clock ticks since boot: with the pid it names a process beyond pid reuse */
};

/* Reads /proc/PID/stat. The command name may hold anything, so fields count from its last ')'. */
static int read_stat(uint32_t pid, struct stat_line *out)
{
    char path[32];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return errno;
    }
    ssize_t bytes = read(descriptor, text, sizeof text - 1);
    int problem = bytes < 0 ? errno : 0;
    close(descriptor);
    if (bytes <= 0) {
        return problem != 0 ? problem : ESRCH;
    }
    text[bytes] = '\0';
    char *field = strrchr(text, ')');
    if (field == NULL || field[1] == '\0' || field[2] == '\0') {
        return EIO;
    }
    field += 2;
    out->state = *field;
    for (int number = 3; number < 22; number++) {
        field = strchr(field, ' ');
        if (field == NULL) {
            return EIO;
        }
        field++;
        if (number + 1 == 20) {
            out->threads = strtoul(field, NULL, 10);
        }
    }
    out->start = strtoull(field, NULL, 10);
    return 0;
}

/* A zombie whose last thread is gone runs nothing any more, though nobody has waited for it. With other
 * threads left (the leader ended first, or is only the first to die) it still may. */
static int ended(const struct stat_line *line)
{
    return (line->state == 'Z' || line->state == 'X') && line->threads <= 1;
}

uint64_t mxrc_process_start(uint32_t pid)
{
    struct stat_line line;
    return pid != 0 && read_stat(pid, &line) == 0 ? line.start : 0;
}

int mxrc_process_alive(uint32_t pid, uint64_t process_start)
{
    struct stat_line line;
    if (pid == 0) {
        return 0;
    }
    if (read_stat(pid, &line) == 0) {
        return line.start == process_start && !ended(&line);
    }
    /* /proc may hide other users' processes (hidepid): then the pid alone must do. */
    return kill((pid_t)pid, 0) == 0 || errno == EPERM;
}
