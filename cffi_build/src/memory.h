/* memory.h: pages present and locked before the first cycle. */
#ifndef MXRC_MEMORY_H
#define MXRC_MEMORY_H

#include "mxrc/core.h"

/* Makes present, for reading or writing as mapped, every page of the segment that an RT thread touches. */
void mxrc_prefault_segment(const struct mxrc_segment *segment);

#endif
