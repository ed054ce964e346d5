/* driver_simulated.c: a simulated arm, solved exactly over the time since the last reading, however long that was. Commands
 * of position go to a drive that each axis follows as a critically damped second-order system with one time constant:
 * x'' = w^2 (c - x) - 2 w x', w = 1 / time constant. Commands of effort act on an inertia with viscous damping: J x'' = u - b x'.
 * Its state is in the state block, so that a restarted process finds the arm where it is. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "driver_table.h"
#include "error.h"
#include "mxrc/law.h"

struct plant {
    uint64_t time_ns; /* of position and velocity; 0: not read yet */
    uint64_t epoch;   /* of the last outputs */
    uint64_t cycle;
    double position[MXRC_AXES];
    double velocity[MXRC_AXES];
    double command[MXRC_AXES];
    uint64_t command_kind; /* enum mxrc_law_command; 0: none yet */
};

struct simulated {
    uint32_t axes;
    uint32_t reserved;
    double frequency; /* w in 1/s */
    double inertia;
    double damping;
    const uint64_t *admitted_epoch;
};

static int simulated_open(void **instance, void *state, const struct mxrc_driver_config *config,
                          char *error, size_t error_bytes)
{
    if (!(config->time_constant > 0) || !isfinite(1 / config->time_constant))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "simulated driver: time constant %g s must be greater than 0",
                         config->time_constant);
    if (config->commands & (1u << MXRC_LAW_EFFORT) &&
        !(config->inertia > 0 && isfinite(config->inertia) && config->damping >= 0 &&
          isfinite(config->damping)))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "simulated driver: for efforts the inertia (%g) must be above 0 and the "
                         "damping (%g) not below",
                         config->inertia, config->damping);
    struct simulated *self = calloc(1, sizeof *self);
    if (!self)
        return mxrc_fail(error, error_bytes, ENOMEM, "simulated driver: out of memory");
    self->axes = config->axis_count;
    self->frequency = 1 / config->time_constant;
    self->inertia = config->inertia;
    self->damping = config->damping;
    self->admitted_epoch = config->admitted_epoch;
    struct plant *plant = state;
    for (uint32_t i = 0; i < self->axes; i++)
        plant->position[i] = plant->command[i] = config->axis[i].home;
    *instance = self;
    return 0;
}

static void under_position(const struct simulated *self, struct plant *plant, uint32_t i, double t,
                           double decay)
{
    double w = self->frequency;
    double error = plant->position[i] - plant->command[i];
    double slope = plant->velocity[i] + w * error;
    plant->position[i] = plant->command[i] + (error + slope * t) * decay;
    plant->velocity[i] = (plant->velocity[i] - w * slope * t) * decay;
}

/* The velocity goes to u / b with the rate k = b / J. share: 1 - exp(-k t), of the way that it goes in t. */
static void under_effort(const struct simulated *self, struct plant *plant, uint32_t i, double t,
                         double share)
{
    double u = plant->command[i], v = plant->velocity[i];
    if (self->damping == 0) {
        plant->velocity[i] = v + u / self->inertia * t;
        plant->position[i] += (v + 0.5 * u / self->inertia * t) * t;
        return;
    }
    double k = self->damping / self->inertia;
    double end = u / self->damping;
    plant->velocity[i] = v + (end - v) * share;
    plant->position[i] += end * t + (v - end) * share / k;
}

static double effort_of(const struct simulated *self, const struct plant *plant, uint32_t i)
{
    double w = self->frequency;
    if (plant->command_kind == MXRC_LAW_EFFORT)
        return plant->command[i];
    return w * (w * (plant->command[i] - plant->position[i]) - 2 * plant->velocity[i]);
}

static int simulated_read(void *instance, void *state, uint64_t time_ns,
                          struct mxrc_driver_inputs *inputs)
{
    const struct simulated *self = instance;
    struct plant *plant = state;
    double t = 0;
    if (plant->time_ns && time_ns > plant->time_ns)
        t = (double)(time_ns - plant->time_ns) * 1e-9;
    plant->time_ns = time_ns;
    /* The same for every axis; expm1 keeps the digits when k t is small. Each of the two is used with one kind of command. */
    int effort = plant->command_kind == MXRC_LAW_EFFORT;
    double decay = effort ? 0 : exp(-self->frequency * t);
    double share = effort ? -expm1(-self->damping / self->inertia * t) : 0;
    for (uint32_t i = 0; i < self->axes; i++) {
        if (effort)
            under_effort(self, plant, i, t, share);
        else
            under_position(self, plant, i, t, decay);
        inputs->position[i] = plant->position[i];
        inputs->velocity[i] = plant->velocity[i];
        inputs->effort[i] = effort_of(self, plant, i); /* of unit inertia under position */
    }
    return 0;
}

static int admitted(const struct simulated *self, uint64_t epoch)
{
#ifdef MXRC_WRONG_NO_FENCE
    (void)self, (void)epoch;
    return 1;
#else
    return mxrc_load_acquire(self->admitted_epoch) == epoch;
#endif
}

static int simulated_commit(void *instance, void *state, uint64_t epoch, uint64_t cycle,
                            const struct mxrc_driver_outputs *outputs)
{
    const struct simulated *self = instance;
    struct plant *plant = state;
    if (!admitted(self, epoch))
        return ESTALE;
    memcpy(plant->command, outputs->command, self->axes * sizeof *plant->command);
    plant->command_kind = outputs->command_kind;
    plant->epoch = epoch;
    plant->cycle = cycle;
    return 0;
}

/* The lease's word is the fence. */
static void simulated_admit(void *instance, uint64_t epoch)
{
    (void)instance, (void)epoch;
}

/* The plant stays at its last command of itself. */
static int simulated_safe(void *instance, void *state, uint64_t epoch)
{
    (void)state;
    return admitted(instance, epoch) ? 0 : ESTALE;
}

static void simulated_close(void *instance)
{
    free(instance);
}

const struct mxrc_driver mxrc_driver_simulated = {
    .abi = MXRC_DRIVER_ABI,
    .bytes = sizeof(struct mxrc_driver),
    .name = "simulated",
    .accepts = 1u << MXRC_LAW_POSITION | 1u << MXRC_LAW_EFFORT,
    .state_bytes = sizeof(struct plant),
    .state_version = 2,
    .open = simulated_open,
    .admit = simulated_admit,
    .read = simulated_read,
    .commit = simulated_commit,
    .safe = simulated_safe,
    .close = simulated_close,
};

_Static_assert(sizeof(struct plant) <= MXRC_DRIVER_STATE_BYTES, "the plant fits its section");
