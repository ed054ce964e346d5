/* heartbeat.h: the executive's watch over the Non-RT process. */
#ifndef MXRC_HEARTBEAT_H
#define MXRC_HEARTBEAT_H

#include "exec.h"

/* Once per cycle: SAFE_MODE when the beat is too old, SAFE_MODE_EXIT (and RESUME, where configured) when it is back
 * and steady. Armed by the first beat seen;
 * after a recovery also when none has come for a while. */
void mxrc_heartbeat_watch(struct mxrc_exec *exec);

#endif
