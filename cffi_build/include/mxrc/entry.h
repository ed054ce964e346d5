/* entry.h: the interface of schedule entries of the user's own, public and versioned; needs nothing else of mxrc.
 *
 * A filter, an estimator, a monitor: work with a period of its own that reads the motion of the axes and values of the data store,
 * and writes values of the data store. It runs on the real-time thread after the outputs of the cycle are committed: no allocation,
 * lock or system call.
 *
 * Its state is the core's memory and begins anew with each executive: at a start, a restart and a take-over `init` has been called and
 * nothing else (the state of control laws is in the state block and goes on; a STANDBY prepares its entries before it knows what it
 * takes over). What has to go on is a value of the data store: name a key among both outputs and inputs. The first step of the
 * successor finds there what the last step that finished wrote; NaN: nobody ever did.
 *
 * A shared object exports one `const struct mxrc_entry_code`; an entry of rt_schedule.json names file and symbol. Build:
 *     cc -std=c11 -O2 -fPIC -shared -I DIRECTORY_OF_mxrc my_entry.c -o my_entry.so -lm
 * Like layout.h a subset of C that cffi reads as it is, but for the two lines that follow. */
#pragma once
#include <stdint.h>

#define MXRC_ENTRY_ABI 1
#define MXRC_ENTRY_AXES 8
#define MXRC_ENTRY_STATE_BYTES 1024
#define MXRC_ENTRY_PARAMETERS 16
#define MXRC_ENTRY_VALUES 8

/* SI units, as for control laws. Arrays have `axes`, or as many as the entry has inputs, meaningful elements. */
struct mxrc_entry_input {
    uint64_t cycle;
    uint64_t time_ns; /* CLOCK_MONOTONIC, of the wake-up */
    double dt;        /* the entry's period, s */
    uint32_t axes;
    uint32_t state; /* enum mxrc_rt_state of layout.h: RUNNING is 2 */
    double position[MXRC_ENTRY_AXES];
    double velocity[MXRC_ENTRY_AXES];
    double effort[MXRC_ENTRY_AXES];
    double setpoint[MXRC_ENTRY_AXES];
    double value[MXRC_ENTRY_VALUES]; /* of its inputs in the data store; NaN: not written yet */
};

struct mxrc_entry_code {
    uint32_t abi;   /* MXRC_ENTRY_ABI */
    uint32_t bytes; /* sizeof(struct mxrc_entry_code) */
    char name[32];
    uint32_t state_bytes;     /* at most MXRC_ENTRY_STATE_BYTES */
    uint32_t parameter_count; /* at most MXRC_ENTRY_PARAMETERS */
    uint32_t input_count;     /* at most MXRC_ENTRY_VALUES */
    uint32_t output_count;    /* at most MXRC_ENTRY_VALUES */

    /* Once, before the first cycle, on a thread that need not be the real-time one. `state` is zeroed, aligned to 16 bytes. 0, or a
     * code that refuses the start. */
    int (*init)(void *state, const double *parameters, double dt);
    /* In its slots. Fills output[output_count], which are written to the data store. 0, or a code: nothing is written, the
     * failure is counted, and an entry of high criticality takes the executive to SAFE_MODE. */
    int (*step)(void *state, const double *parameters, const struct mxrc_entry_input *input,
                double *output);
};
