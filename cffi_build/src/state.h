/* state.h: the RT state of the executive. */
#ifndef MXRC_STATE_H
#define MXRC_STATE_H

#include "exec.h"

/* Applies an event: 1 done, 0 refused and logged. `cause` (enum mxrc_safe_cause) matters for SAFE_MODE_ENTER. */
int mxrc_state_apply(struct mxrc_exec *exec, uint32_t event, uint32_t cause);
/* SAFE_MODE by a fault: quiet where SAFE_MODE (or worse) is in force already. */
void mxrc_state_fault(struct mxrc_exec *exec, uint32_t cause);
/* INIT becomes READY, and auto_start follows. */
void mxrc_state_settle(struct mxrc_exec *exec);
/* Takes the event that the main thread has posted. */
void mxrc_mailbox_take(struct mxrc_exec *exec);

#endif
