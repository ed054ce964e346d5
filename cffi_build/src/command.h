/* command.h: the consumer's side of the command queue, for the executive. */
#ifndef MXRC_COMMAND_H
#define MXRC_COMMAND_H

#include "mxrc/core.h"

/* Copies command `number`. 1: copied; 0: not sent yet; -1: the slot holds something else, which a
 * sound producer never leaves: count it as refused and go on with the next. Bounded, no system call. The
 * command is consumed by storing number + 1 into rt_status.command_tail. */
int mxrc_command_peek(const struct mxrc_segment *segment, uint64_t number,
                      struct mxrc_command *out);

#endif
