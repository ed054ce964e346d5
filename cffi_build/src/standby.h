/* standby.h: an attached RT process that is warm and drives nothing, until it is its turn. */
#ifndef MXRC_STANDBY_H
#define MXRC_STANDBY_H

#include "exec.h"

/* Takes the role; the segment is prefaulted already. */
void mxrc_standby_begin(struct mxrc_exec *exec);
/* Waits: 0 PRIMARY (as after mxrc_exec_begin), 1 stopped in order, else an errno. */
int mxrc_standby_run(struct mxrc_exec *exec, char *error, size_t error_bytes);
/* CPU of the PRIMARY, when another member is it; -1: none. */
int mxrc_standby_primary_cpu(const struct mxrc_exec *exec);
/* 1: the member is STANDBY and has had a turn within `age_ns`. */
int mxrc_standby_warm(const struct mxrc_exec *exec, int member, uint64_t age_ns);

#endif
