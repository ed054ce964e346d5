/* pidfd.c: open, watch and kill a process by descriptor. */
#define _GNU_SOURCE /* syscall */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mxrc/core.h"
#include "pidfd.h"

/* The start time is read after the descriptor was opened: if it still is the expected one, that process has had
 * the pid all the time, for a pid is not given away while its process lives. */
int mxrc_pidfd_open(uint32_t pid, uint64_t process_start)
{
    if (pid == 0 || process_start == 0)
        return -1;
    int descriptor = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (descriptor >= 0 && mxrc_process_start(pid) != process_start) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

int mxrc_pidfd_ended(int descriptor)
{
    struct pollfd look = {.fd = descriptor, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

int mxrc_pidfd_kill(int descriptor)
{
    if (descriptor < 0)
        return ESRCH;
    return syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, NULL, 0) ? errno : 0;
}
