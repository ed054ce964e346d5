/* sway.c: a law that tasks run (actions control_law and user_action): the axes sway out and back to where they began, from rest
 * to rest, for some rounds; then it says that it is done.
 *
 * Parameters: width (rad or m), frequency (1/s), rounds.
 *
 *     cc -std=gnu11 -O2 -fPIC -shared -I ../../cffi_build/include sway.c -o sway.so -lm */
#include "mxrc/law.h"
#include <math.h>

enum { WIDTH, FREQUENCY, ROUNDS, PARAMETERS };

/* Survives a restart in the middle: time, and where each axis began. */
struct state {
    double seconds;
    double begin[MXRC_LAW_AXES];
};

static int init(void *state, const double *p, uint32_t axes, double dt)
{
    (void)state, (void)axes;
    return p[FREQUENCY] > 0 && p[FREQUENCY] * dt < 0.1 && p[ROUNDS] > 0 ? 0 : 1;
}

static int step(void *state, const double *p, const struct mxrc_law_input *in, double *command)
{
    struct state *s = state;
    s->seconds += in->dt;
    int done = s->seconds * p[FREQUENCY] >= p[ROUNDS];
    double way = done ? 0 : p[WIDTH] * (1 - cos(2 * M_PI * p[FREQUENCY] * s->seconds)) / 2;
    for (uint32_t i = 0; i < in->axes; i++)
        command[i] = s->begin[i] + way;
    return done ? MXRC_LAW_DONE : 0;
}

/* Also when it goes on after SAFE_MODE: around where the axes are then. */
static void reset(void *state, const double *p, const struct mxrc_law_input *in)
{
    (void)p;
    struct state *s = state;
    s->seconds = 0;
    for (uint32_t i = 0; i < in->axes; i++)
        s->begin[i] = in->setpoint[i];
}

const struct mxrc_law sway = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "sway",
    .command = MXRC_LAW_POSITION,
    .state_bytes = sizeof(struct state),
    .state_version = 1,
    .parameter_count = PARAMETERS,
    .init = init,
    .step = step,
    .reset = reset,
};
