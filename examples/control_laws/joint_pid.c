/* joint_pid.c: a PID controller for each joint, with the integral bounded, on the commanded velocity.
 *
 * Parameters: kp (N m/rad), ki (N m/(rad s)), kd (N m s/rad), bound of the integral's effort (N m).
 *
 *     cc -std=c11 -O2 -fPIC -shared -I ../../cffi_build/include joint_pid.c -o joint_pid.so -lm */
#include <math.h>
#include <string.h>

#include "mxrc/law.h"

enum { KP, KI, KD, BOUND, PARAMETERS };

/* In the state block: a process that takes over goes on with the integral as it is. */
struct state {
    double integral[MXRC_LAW_AXES]; /* N m */
};

static int init(void *state, const double *p, uint32_t axes, double dt)
{
    (void)state, (void)axes, (void)dt;
    /* Written so that NaN is refused, too. */
    return p[KP] > 0 && p[KI] >= 0 && p[KD] >= 0 && p[BOUND] >= 0 ? 0 : 1;
}

static int step(void *state, const double *p, const struct mxrc_law_input *in, double *command)
{
    struct state *self = state;
    for (uint32_t i = 0; i < in->axes; i++) {
        double error = in->setpoint[i] - in->position[i];
        double slope = in->setpoint_velocity[i] - in->velocity[i];
        double integral = self->integral[i] + p[KI] * error * in->dt;
        self->integral[i] = fmin(fmax(integral, -p[BOUND]), p[BOUND]);
        command[i] = p[KP] * error + p[KD] * slope + self->integral[i];
    }
    return 0;
}

static void reset(void *state, const double *p, const struct mxrc_law_input *in)
{
    (void)p, (void)in;
    memset(state, 0, sizeof(struct state));
}

const struct mxrc_law joint_pid = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "joint_pid",
    .command = MXRC_LAW_EFFORT,
    .state_bytes = sizeof(struct state),
    .state_version = 1,
    .parameter_count = PARAMETERS,
    .init = init,
    .step = step,
    .reset = reset,
};
