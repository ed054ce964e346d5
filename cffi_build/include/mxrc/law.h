/* law.h: the interface of control laws, public and versioned; needs nothing else of mxrc.
 *
 * The executive runs one law. Every cycle it hands over measured and wanted motion of all axes and takes one
 * command per axis; per-axis limits are applied afterwards in the core whatever the law asks for. A law
 * runs on the real-time thread: no allocation, lock or system call. Its state is a flat block of bytes that the core
 * keeps in the state block, so that it survives a restart and a take-over: no pointers in it.
 *
 * A shared object exports one `const struct mxrc_law` under a name of its choice; robot.json names file and symbol. Build:
 *     cc -std=c11 -O2 -fPIC -shared -I DIRECTORY_OF_mxrc my_law.c -o my_law.so -lm
 * Like layout.h a subset of C that cffi reads as it is, but for the two lines that follow. */
#pragma once
#include <stdint.h>

#define MXRC_LAW_ABI 1
#define MXRC_LAW_AXES 8
#define MXRC_LAW_STATE_BYTES 1024
#define MXRC_LAW_PARAMETERS 64
/* What the step of a law that a task runs returns once it is done. Such a law commands positions (where it is given axes),
 * has at most 512 bytes of state and 21 parameters; its init is called on the real-time thread. */
#define MXRC_LAW_DONE 0x444f4e45

/* What the command of an axis means; the driver must accept it. */
enum mxrc_law_command {
    MXRC_LAW_POSITION = 1, /* rad or m */
    MXRC_LAW_EFFORT = 2    /* N m or N */
};

/* SI units: rad or m, seconds, N m or N. Arrays have `axes` meaningful elements. */
struct mxrc_law_input {
    uint64_t cycle;
    uint32_t axes;
    uint32_t reserved;
    double dt; /* the period */
    double position[MXRC_LAW_AXES];
    double velocity[MXRC_LAW_AXES];
    double effort[MXRC_LAW_AXES];
    double setpoint[MXRC_LAW_AXES];
    double setpoint_velocity[MXRC_LAW_AXES];
    double setpoint_acceleration[MXRC_LAW_AXES];
};

struct mxrc_law {
    uint32_t abi;   /* MXRC_LAW_ABI */
    uint32_t bytes; /* sizeof(struct mxrc_law) */
    char name[32];
    uint32_t command;         /* enum mxrc_law_command */
    uint32_t state_bytes;     /* at most MXRC_LAW_STATE_BYTES */
    uint32_t state_version;   /* a saved state of another version is not restored */
    uint32_t parameter_count; /* at most MXRC_LAW_PARAMETERS */

    /* Once, before the first cycle, on a thread that need not be the real-time one. `state` is zeroed, aligned to
     * 16 bytes; afterwards it may be replaced by what an earlier process had saved. 0, or a code that refuses the start. */
    int (*init)(void *state, const double *parameters, uint32_t axes, double dt);
    /* Every cycle. Fills command[axes]. 0, or a code: the executive enters SAFE_MODE. */
    int (*step)(void *state, const double *parameters, const struct mxrc_law_input *input,
                double *command);
    /* The law takes over from the safe action or a clean start: start bumpless from this input. */
    void (*reset)(void *state, const double *parameters, const struct mxrc_law_input *input);
};
