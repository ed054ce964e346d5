/* impedance.c: each joint behaves like a spring and a damper around its set-point (Hogan, J. Dynamic Systems, Measurement, and
 * Control 107(1), 1985): it gives way when something pushes, and there is nothing that winds up.
 *
 * Parameters: stiffness (N m/rad), damping (N m s/rad), inertia that the set-point's acceleration is multiplied by (kg m^2).
 *
 *     cc -std=c11 -O2 -fPIC -shared -I ../../cffi_build/include impedance.c -o impedance.so */
#include "mxrc/law.h"

enum { STIFFNESS, DAMPING, INERTIA, PARAMETERS };

static int init(void *state, const double *p, uint32_t axes, double dt)
{
    (void)state, (void)axes, (void)dt;
    return p[STIFFNESS] >= 0 && p[DAMPING] > 0 && p[INERTIA] >= 0 ? 0 : 1;
}

static int step(void *state, const double *p, const struct mxrc_law_input *in, double *command)
{
    (void)state;
    for (uint32_t i = 0; i < in->axes; i++)
        command[i] = p[STIFFNESS] * (in->setpoint[i] - in->position[i]) +
                     p[DAMPING] * (in->setpoint_velocity[i] - in->velocity[i]) +
                     p[INERTIA] * in->setpoint_acceleration[i];
    return 0;
}

static void reset(void *state, const double *p, const struct mxrc_law_input *in)
{
    (void)state, (void)p, (void)in;
}

const struct mxrc_law impedance = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "impedance",
    .command = MXRC_LAW_EFFORT,
    .parameter_count = PARAMETERS,
    .init = init,
    .step = step,
    .reset = reset,
};
