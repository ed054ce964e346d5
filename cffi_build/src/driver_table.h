/* driver_table.h: the drivers there are. */
#ifndef MXRC_DRIVER_TABLE_H
#define MXRC_DRIVER_TABLE_H

#include "mxrc/driver.h"

extern const struct mxrc_driver mxrc_driver_simulated;
extern const struct mxrc_driver mxrc_driver_process_image;

#endif
