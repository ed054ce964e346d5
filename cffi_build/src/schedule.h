/* schedule.h: minor and major cycle of the configured entries. */
#ifndef MXRC_SCHEDULE_H
#define MXRC_SCHEDULE_H

#include "exec.h"

#define MXRC_SLOTS_MAX 65536

/* Slots of the major frame into *slots (1 without entries). 0, or EINVAL with the entry, the slot and the sum that do
 * not fit. */
int mxrc_schedule_slots(const struct mxrc_exec_config *config, uint32_t *slots, char *error,
                        size_t error_bytes);

#endif
