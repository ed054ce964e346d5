/* publish.h: what each cycle leaves for readers: status words and the cycle record. */
#ifndef MXRC_PUBLISH_H
#define MXRC_PUBLISH_H

#include "exec.h"

/* Once, when this thread has become PRIMARY. */
void mxrc_status_begin(struct mxrc_exec *exec);
/* After the state block is valid. */
void mxrc_status_publish(struct mxrc_exec *exec);
void mxrc_record_publish(struct mxrc_exec *exec);

#endif
