/* live.h: settings that change while the executive runs. */
#ifndef MXRC_LIVE_H
#define MXRC_LIVE_H

#include "exec.h"

/* The RT thread takes over what mxrc_exec_apply has left. */
void mxrc_live_take(struct mxrc_exec *exec);
void mxrc_live_use(struct mxrc_exec *exec, const struct mxrc_exec_live *live);
int mxrc_live_valid(const struct mxrc_exec *exec, const struct mxrc_exec_live *live);

#endif
