/* span.h: spans of tasks, sequences and actions, recorded when they have ended. */
#ifndef MXRC_SPAN_H
#define MXRC_SPAN_H

#include "exec.h"

/* Seeds the generator of span ids from the kernel, once per clean start. 0 or an errno. */
int mxrc_span_seed(struct mxrc_exec *exec);
void mxrc_span_id(struct mxrc_exec *exec, uint8_t id[8]);

/* Records the span that `strand` or its task has open as `operation`; `result` other than MXRC_OK makes its status ERROR. */
void mxrc_span_end(struct mxrc_exec *exec, const struct mxrc_strand *strand, uint32_t operation,
                   uint32_t result);

/* Records eventbus.publish of a message of `strand`, a child of what it has in progress. id: the span id that the
 * message carries, so that who processes it is a child; without a span of its own it is that of its parent. */
void mxrc_span_publish(struct mxrc_exec *exec, const struct mxrc_strand *strand,
                       uint32_t topic_name, uint8_t id[8]);

/* Records eventbus.process: the task of `strand` has taken the event of the command in hand, whose sender's span is the
 * parent. */
void mxrc_span_process(struct mxrc_exec *exec, const struct mxrc_strand *strand,
                       uint32_t topic_name);

#endif
