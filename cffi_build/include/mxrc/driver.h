/* driver.h: the interface of what stands between the executive and the axes.
 *
 * All but open and close run on the real-time thread: no allocation, lock or blocking system call. Outputs carry the
 * epoch of the lease; a commit whose epoch is not the admitted one is refused and reaches no device. */
#ifndef MXRC_DRIVER_H
#define MXRC_DRIVER_H

#include "mxrc/core.h"

#define MXRC_DRIVER_ABI 2
#define MXRC_DRIVER_STATE_BYTES 1024

struct mxrc_driver_config {
    const struct mxrc_axis_config *axis;
    uint32_t axis_count;
    uint32_t commands;      /* bits of enum mxrc_law_command that will be committed */
    double time_constant;   /* seconds, of the simulated plant under commands of position */
    double inertia;         /* of the simulated plant under commands of effort: kg m^2 or kg, */
    double damping;         /* and N m s/rad or N s/m */
    const char *image_name; /* of the process image */
    uint64_t image_timeout_ns;
    uint64_t generation; /* of the segment that the epochs belong to */
    uint32_t member;     /* index of this RT process */
    uint32_t reserved;
    /* Word of the lease that says which epoch outputs must carry; load with acquire. */
    const uint64_t *admitted_epoch;
};

/* rad or m, rad/s or m/s, N m or N. */
struct mxrc_driver_inputs {
    double position[MXRC_AXES];
    double velocity[MXRC_AXES];
    double effort[MXRC_AXES];
};

struct mxrc_driver_outputs {
    uint32_t command_kind; /* enum mxrc_law_command */
    uint32_t axes;
    double command[MXRC_AXES];
};

struct mxrc_driver {
    uint32_t abi;   /* MXRC_DRIVER_ABI */
    uint32_t bytes; /* sizeof(struct mxrc_driver) */
    char name[32];
    uint32_t accepts; /* bit (1 << enum mxrc_law_command); positions always, for the safe actions */
    uint32_t state_bytes; /* of `state`: saved in the state block every cycle; no pointers in it */
    uint32_t state_version; /* a saved state of another version is not restored */
    uint32_t reserved;

    /* Fills `state` for a clean start and *instance (the driver's own memory). 0 or an errno with a line. */
    int (*open)(void **instance, void *state, const struct mxrc_driver_config *config, char *error,
                size_t error_bytes);
    /* This process has become PRIMARY with this epoch, and its predecessor may be anywhere: from the return on nothing
     * that an older epoch writes reaches a device. */
    void (*admit)(void *instance, uint64_t epoch);
    /* What was committed last, by whichever process, where that is known beyond `state`: a predecessor that died between its
     * commit and its state block has left the devices one step ahead of the block. After admit, before the first commit. 0, or
     * ENODATA; NULL: `state` is all there is. */
    int (*committed)(void *instance, uint64_t *cycle, struct mxrc_driver_outputs *outputs);
    /* Measured motion at `time_ns`, finite. 0, or a code: the executive enters SAFE_MODE. */
    int (*read)(void *instance, void *state, uint64_t time_ns, struct mxrc_driver_inputs *inputs);
    /* 0; ESTALE: this epoch is not admitted, nothing was output; else a code as for read. */
    int (*commit)(void *instance, void *state, uint64_t epoch, uint64_t cycle,
                  const struct mxrc_driver_outputs *outputs);
    /* The last act of an orderly end: leave the axes so that nothing moves without an executive. */
    int (*safe)(void *instance, void *state, uint64_t epoch);
    void (*close)(void *instance);
};

/* NULL: no such kind. */
const struct mxrc_driver *mxrc_driver_find(uint32_t kind);

#endif
