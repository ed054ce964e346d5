/* span.h: spans of tasks, sequences and actions, recorded when they have ended. */
#ifndef MXRC_SPAN_H
#define MXRC_SPAN_H

#include "exec.h"

/* Seeds the generator of span ids from the kernel, once per clean start. 0 or an errno. */
int mxrc_span_seed(struct mxrc_exec *exec);
void mxrc_span_id(struct mxrc_exec *exec, uint8_t id[8]);

/* Records the span that `task` has open as `operation`; `result` other than MXRC_OK makes its status ERROR. */
void mxrc_span_end(struct mxrc_exec *exec, const struct mxrc_task_state *task, uint32_t operation,
                   uint32_t result);

#endif
