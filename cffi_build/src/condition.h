/* condition.h: conditions of programs. */
#ifndef MXRC_CONDITION_H
#define MXRC_CONDITION_H

#include "exec.h"

/* 1 true, 0 false, -1: not to be known in this cycle. `task`: whose events it looks at. */
int mxrc_condition_holds(const struct mxrc_exec *exec, const struct mxrc_task_state *task,
                         const struct mxrc_condition *condition);
/* Whether its key has the element, as a number. Of the data store only; the form was checked before. */
int mxrc_condition_has_key(const struct mxrc_exec *exec, const struct mxrc_condition *condition);

#endif
