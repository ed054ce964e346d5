/* exec_commands.h: what Non-RT asks of the executive. */
#ifndef MXRC_EXEC_COMMANDS_H
#define MXRC_EXEC_COMMANDS_H

#include "exec.h"

/* Takes a bounded number of commands and answers each. */
void mxrc_commands_take(struct mxrc_exec *exec);

#endif
