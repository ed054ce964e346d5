/* thread_memory.c: the NUMA memory policy of another thread of this process. set_mempolicy(2) is for the calling thread only: the
 * thread is interrupted by a signal and calls it in the handler (the C library changes the user id of all threads in this way).
 * For the Non-RT process; the RT thread blocks every signal. */
#define _GNU_SOURCE /* syscall, gettid */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "mxrc/core.h"

#define WORDS 16
#define LOOK_NS 20000
#define SIGNAL (SIGRTMAX - 3)

/* Who writes next, in the low bits; the thread above them. The caller: IDLE to ASKED, DONE to IDLE. The thread: ASKED to AT_WORK to
 * DONE. ASKED to IDLE is the caller's giving up: a compare-and-swap, as the thread may begin at that moment. So what is asked is
 * never changed under a handler, and one that comes too late does nothing. */
enum { IDLE, ASKED, AT_WORK, DONE };
static struct {
    uint64_t turn;
    int mode;
    uint32_t result;
    unsigned long nodes[WORDS];
} ask;

static uint64_t turn_of(uint32_t tid, uint64_t phase)
{
    return (uint64_t)tid << 2 | phase;
}

static void handler(int number)
{
    (void)number;
    int before = errno;
    uint32_t self = (uint32_t)gettid();
    if (mxrc_load_acquire(&ask.turn) == turn_of(self, ASKED) &&
        mxrc_cas_u64(&ask.turn, turn_of(self, ASKED), turn_of(self, AT_WORK))) {
        const unsigned long *nodes = ask.mode == 0 ? NULL : ask.nodes;
        long failed = syscall(SYS_set_mempolicy, (long)ask.mode, nodes,
                              nodes ? (unsigned long)WORDS * 64 : 0ul);
        ask.result = failed ? (uint32_t)errno : 0;
        mxrc_store_release(&ask.turn, turn_of(self, DONE));
    }
    errno = before;
}

static int answered(uint32_t tid, uint32_t timeout_ms)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    uint64_t until = mxrc_now_ns() + (uint64_t)timeout_ms * 1000000;
    while (mxrc_load_acquire(&ask.turn) != turn_of(tid, DONE)) {
        if (mxrc_now_ns() > until && mxrc_cas_u64(&ask.turn, turn_of(tid, ASKED), IDLE))
            return ETIMEDOUT;
        if (syscall(SYS_tgkill, (long)getpid(), (long)tid, 0L) && errno == ESRCH)
            return ESRCH;
        nanosleep(&pause, NULL);
    }
    return (int)ask.result;
}

int mxrc_thread_memory_policy(uint32_t tid, int mode, const uint64_t *nodes, uint32_t words,
                              uint32_t timeout_ms)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    if (words > WORDS || tid == 0)
        return EINVAL;
    if (sigaction(SIGNAL, &action, NULL))
        return errno;
    ask.mode = mode;
    memset(ask.nodes, 0, sizeof ask.nodes);
    if (words)
        memcpy(ask.nodes, nodes, words * sizeof *nodes);
    mxrc_store_release(&ask.turn, turn_of(tid, ASKED));
    int result = syscall(SYS_tgkill, (long)getpid(), (long)tid, (long)SIGNAL)
                     ? errno
                     : answered(tid, timeout_ms);
    mxrc_store_release(&ask.turn, IDLE);
    return result;
}
