/* exec_config.h: what must hold of an executive's configuration. */
#ifndef MXRC_EXEC_CONFIG_H
#define MXRC_EXEC_CONFIG_H

#include "mxrc/core.h"

/* 0 and the slots of the major frame, or EINVAL with the value that does not fit. */
int mxrc_exec_config_check(const struct mxrc_exec_config *config, uint32_t *slots, char *error,
                           size_t error_bytes);
struct mxrc_exec_live mxrc_exec_config_live(const struct mxrc_exec_config *config);

#endif
