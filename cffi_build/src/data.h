/* data.h: one number of the data store, for who reads it every cycle. */
#ifndef MXRC_DATA_H
#define MXRC_DATA_H

#include "mxrc/core.h"

/* Element `element` of a bool, int64, double or double[N] key. 0; ENODATA: never written; EAGAIN: its writer holds it open; EINVAL:
 * no such number. */
int mxrc_data_number(const struct mxrc_segment *segment, uint32_t handle, uint32_t element,
                     double *number);

#endif
