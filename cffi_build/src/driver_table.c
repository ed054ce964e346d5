/* driver_table.c: the drivers by their kind. */
#include "driver_table.h"

const struct mxrc_driver *mxrc_driver_find(uint32_t kind)
{
    switch (kind) {
    case MXRC_DRIVER_SIMULATED:
        return &mxrc_driver_simulated;
    case MXRC_DRIVER_PROCESS_IMAGE:
        return &mxrc_driver_process_image;
    default:
        return NULL;
    }
}
