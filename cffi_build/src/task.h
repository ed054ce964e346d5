/* task.h: executions in progress. A slot of exec->task with execution_id 0 is free. */
#ifndef MXRC_TASK_H
#define MXRC_TASK_H

#include "exec.h"

/* One turn of every task; only in RUNNING. */
void mxrc_tasks_step(struct mxrc_exec *exec);
/* Motion of all tasks ends here; each goes on from where its axes come to rest, once it may. */
void mxrc_tasks_hold(struct mxrc_exec *exec);
/* As hold, for SAFE_MODE: each as its definition says. */
void mxrc_tasks_safe(struct mxrc_exec *exec);
/* The arm stands where it was commanded last: what was under way begins again from rest, without being held. */
void mxrc_tasks_replan(struct mxrc_exec *exec);
/* Ends every execution with that status. */
void mxrc_tasks_end(struct mxrc_exec *exec, uint32_t status, uint32_t result);
/* What a restart does to each, by its policy; a damaged program fails its task. */
void mxrc_tasks_recover(struct mxrc_exec *exec);
/* The execution in progress that a cycle record names: the first one; NULL for none. */
const struct mxrc_task_state *mxrc_tasks_first(const struct mxrc_exec *exec);

/* NULL: no such execution in progress. */
struct mxrc_task_state *mxrc_task_find(struct mxrc_exec *exec, uint64_t execution_id);

/* Commands; each returns an enum mxrc_result. *op: offending op of a refused program. */
uint32_t mxrc_task_start(struct mxrc_exec *exec, const struct mxrc_command *command,
                         uint64_t number, uint32_t *op);
uint32_t mxrc_task_cancel(struct mxrc_exec *exec, uint64_t execution_id);
/* An event of the event bus, for one execution or (0) for all in progress that listen to its topic. */
uint32_t mxrc_task_event(struct mxrc_exec *exec, uint64_t execution_id, uint32_t topic,
                         double value);
uint32_t mxrc_task_pause(struct mxrc_exec *exec, uint64_t execution_id, int paused);

#endif
