/* pidfd.h: a process held by descriptor: what is done to it never reaches another one that got its pid. */
#ifndef MXRC_PIDFD_H
#define MXRC_PIDFD_H

#include <stdint.h>

/* A descriptor of the very process that `process_start` names; -1: it is gone, or cannot be told from another one. */
int mxrc_pidfd_open(uint32_t pid, uint64_t process_start);
int mxrc_pidfd_ended(int descriptor); /* 1: it has ended */
int mxrc_pidfd_kill(int descriptor);  /* SIGKILL; 0 or an errno */

#endif
