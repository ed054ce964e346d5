/* driver_simulated.c: a simulated arm. Each axis follows its commanded position as a critically damped second-order
 * system with one time constant: x'' = w^2 (c - x) - 2 w x', w = 1 / time constant, solved exactly over the time since
 * the last reading, however long that was. Its state is in the state block, so that a restarted process
 * finds the arm where it is. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "error.h"
#include "mxrc/driver.h"
#include "mxrc/law.h"

struct plant {
    uint64_t time_ns; /* of position and velocity; 0: not read yet */
    uint64_t epoch;   /* of the last outputs */
    uint64_t cycle;
    double position[MXRC_AXES];
    double velocity[MXRC_AXES];
    double command[MXRC_AXES];
};

struct simulated {
    uint32_t axes;
    uint32_t reserved;
    double frequency; /* w in 1/s */
    const uint64_t *admitted_epoch;
};

static int simulated_open(void **instance, void *state, const struct mxrc_driver_config *config,
                          char *error, size_t error_bytes)
{
    if (!(config->time_constant > 0) || !isfinite(1 / config->time_constant))
        return mxrc_fail(error, error_bytes, EINVAL,
                         "simulated driver: time constant %g s must be greater than 0",
                         config->time_constant);
    struct simulated *self = calloc(1, sizeof *self);
    if (!self)
        return mxrc_fail(error, error_bytes, ENOMEM, "simulated driver: out of memory");
    self->axes = config->axis_count;
    self->frequency = 1 / config->time_constant;
    self->admitted_epoch = config->admitted_epoch;
    struct plant *plant = state;
    for (uint32_t i = 0; i < self->axes; i++)
        plant->position[i] = plant->command[i] = config->axis[i].home;
    *instance = self;
    return 0;
}

static int simulated_read(void *instance, void *state, uint64_t time_ns,
                          struct mxrc_driver_inputs *inputs)
{
    const struct simulated *self = instance;
    struct plant *plant = state;
    double w = self->frequency;
    double t = 0;
    if (plant->time_ns && time_ns > plant->time_ns)
        t = (double)(time_ns - plant->time_ns) * 1e-9;
    plant->time_ns = time_ns;
    double decay = exp(-w * t);
    for (uint32_t i = 0; i < self->axes; i++) {
        double error = plant->position[i] - plant->command[i];
        double slope = plant->velocity[i] + w * error;
        plant->position[i] = plant->command[i] + (error + slope * t) * decay;
        plant->velocity[i] = (plant->velocity[i] - w * slope * t) * decay;
        inputs->position[i] = plant->position[i];
        inputs->velocity[i] = plant->velocity[i];
        inputs->effort[i] = w * (w * (plant->command[i] - plant->position[i]) -
                                 2 * plant->velocity[i]); /* of unit inertia */
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
    plant->epoch = epoch;
    plant->cycle = cycle;
    return 0;
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

static const struct mxrc_driver simulated = {
    .abi = MXRC_DRIVER_ABI,
    .bytes = sizeof(struct mxrc_driver),
    .name = "simulated",
    .accepts = 1u << MXRC_LAW_POSITION,
    .state_bytes = sizeof(struct plant),
    .state_version = 1,
    .open = simulated_open,
    .read = simulated_read,
    .commit = simulated_commit,
    .safe = simulated_safe,
    .close = simulated_close,
};

_Static_assert(sizeof(struct plant) <= MXRC_DRIVER_STATE_BYTES, "the plant fits its section");

const struct mxrc_driver *mxrc_driver_find(uint32_t kind)
{
    return kind == MXRC_DRIVER_SIMULATED ? &simulated : NULL;
}
