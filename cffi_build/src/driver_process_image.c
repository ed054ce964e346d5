/* driver_process_image.c: the devices are another process, behind a process image. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver_table.h"
#include "error.h"
#include "lease.h"
#include "process_image.h"

/* A new PRIMARY waits so long for a measurement that is being written, looking so often. */
#define FIRST_NS 100000000
#define LOOK_NS 200000

struct driver {
    struct mxrc_image image;
    uint64_t timeout_ns;
    const uint64_t *admitted_epoch;
    uint32_t member;
    uint32_t axes;
    uint32_t blind; /* the last reading failed: outputs would be made of motion that is no more */
    uint32_t reserved;
    uint64_t time_ns;            /* of the reading */
    struct mxrc_image_inputs in; /* last good ones */
};

/* Goes over to a successor: it knows of the plant what its predecessor knew. */
struct state {
    uint64_t incarnation; /* of the plant that was last read */
};

static int image_open(void **instance, void *state, const struct mxrc_driver_config *config,
                      char *error, size_t error_bytes)
{
    if (config->image_timeout_ns == 0)
        return mxrc_fail(error, error_bytes, EINVAL,
                         "process image: the timeout of inputs must be above 0");
    struct driver *self = calloc(1, sizeof *self);
    if (!self)
        return mxrc_fail(error, error_bytes, ENOMEM, "process image: out of memory");
    self->timeout_ns = config->image_timeout_ns;
    self->admitted_epoch = config->admitted_epoch;
    self->member = config->member;
    self->axes = config->axis_count;
    int result = mxrc_image_attach(&self->image, config->image_name, config->axis_count,
                                   config->generation, error, error_bytes);
    if (result) {
        free(self);
        return result;
    }
    ((struct state *)state)->incarnation = self->image.incarnation;
    *instance = self;
    return 0;
}

static int all_finite(const struct driver *self, const struct mxrc_image_inputs *in)
{
    for (uint32_t i = 0; i < self->axes; i++)
        if (!isfinite(in->position[i]) || !isfinite(in->velocity[i]) || !isfinite(in->effort[i]))
            return 0;
    return 1;
}

/* A first reading, not judged: should the plant have been interrupted while it writes, the first cycle has this one to go by. */
static void look_at_inputs(struct driver *self)
{
    struct mxrc_image_inputs now;
    uint64_t longest = self->timeout_ns < FIRST_NS ? self->timeout_ns : FIRST_NS;
    for (uint64_t waited = 0; waited < longest; waited += LOOK_NS) {
        if (mxrc_image_read_inputs(&self->image, &now)) {
            if (all_finite(self, &now))
                self->in = now;
            return;
        }
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
}

/* An epoch that is too old is told by the commits. */
static void image_admit(void *instance, uint64_t epoch)
{
    struct driver *self = instance;
    mxrc_image_admit(&self->image, epoch);
    look_at_inputs(self);
}

static int image_committed(void *instance, uint64_t *cycle, struct mxrc_driver_outputs *outputs)
{
    const struct driver *self = instance;
    struct mxrc_image_outputs last;
    if (!mxrc_image_read_committed(&self->image, &last))
        return ENODATA;
    *cycle = last.cycle;
    outputs->command_kind = last.kind;
    outputs->axes = last.axes;
    memcpy(outputs->command, last.command, sizeof outputs->command);
    return 0;
}

/* Too old, or of a clock that is not CLOCK_MONOTONIC: such a stamp would never grow old. A thread that was held up since it looked at
 * the clock looks again. */
static int is_stale(uint64_t stamp_ns, uint64_t now_ns, uint64_t timeout_ns)
{
    if (stamp_ns > now_ns) {
        uint64_t later_ns = mxrc_now_ns();
        now_ns = later_ns > now_ns ? later_ns : now_ns;
    }
    return stamp_ns > now_ns ? stamp_ns - now_ns > timeout_ns : now_ns - stamp_ns > timeout_ns;
}

/* A plant in the middle of writing is no fault: the inputs before are good until they are too old. One that has started anew is: the
 * machine may be anywhere. */
static int measured(struct driver *self, struct state *state, uint64_t time_ns,
                    struct mxrc_driver_inputs *inputs)
{
    struct mxrc_image_inputs now;
    if (mxrc_image_read_inputs(&self->image, &now)) {
        if (!all_finite(self, &now))
            return EDOM;
        self->in = now;
    }
    if (self->in.number == 0)
        return ENODATA;
    if (is_stale(self->in.time_ns, time_ns, self->timeout_ns))
        return ETIMEDOUT;
    for (uint32_t i = 0; i < self->axes; i++) {
        inputs->position[i] = self->in.position[i];
        inputs->velocity[i] = self->in.velocity[i];
        inputs->effort[i] = self->in.effort[i];
    }
    if (self->in.incarnation != state->incarnation) {
        state->incarnation = self->in.incarnation;
        return ECONNRESET;
    }
    return 0;
}

static int image_read(void *instance, void *state, uint64_t time_ns,
                      struct mxrc_driver_inputs *inputs)
{
    struct driver *self = instance;
    self->time_ns = time_ns;
    int code = measured(self, state, time_ns, inputs);
    self->blind = code != 0;
    return code;
}

static int commit(struct driver *self, uint64_t epoch, uint64_t cycle, uint32_t kind,
                  const double *command)
{
    if (__atomic_load_n(self->admitted_epoch, __ATOMIC_ACQUIRE) != epoch)
        return ESTALE;
    return mxrc_image_commit(&self->image, self->member, epoch, cycle, self->time_ns, kind,
                             command);
}

static int image_commit(void *instance, void *state, uint64_t epoch, uint64_t cycle,
                        const struct mxrc_driver_outputs *outputs)
{
    struct driver *self = instance;
    (void)state;
    /* Outputs that were made from what another plant measured are not for one that has started since. */
    uint64_t incarnation = mxrc_load_acquire(&self->image.shared->header.incarnation);
    if (self->blind || incarnation != self->in.incarnation)
        return commit(self, epoch, cycle, MXRC_IMAGE_SAFE, self->in.position);
    return commit(self, epoch, cycle, outputs->command_kind, outputs->command);
}

static int image_safe(void *instance, void *state, uint64_t epoch)
{
    struct driver *self = instance;
    (void)state;
    return commit(self, epoch, 0, MXRC_IMAGE_SAFE, self->in.position);
}

static void image_close(void *instance)
{
    struct driver *self = instance;
    mxrc_image_close(&self->image);
    free(self);
}

const struct mxrc_driver mxrc_driver_process_image = {
    .abi = MXRC_DRIVER_ABI,
    .bytes = sizeof(struct mxrc_driver),
    .name = "process_image",
    .accepts = 1u << MXRC_LAW_POSITION | 1u << MXRC_LAW_EFFORT,
    .state_bytes = sizeof(struct state),
    .state_version = 2,
    .open = image_open,
    .admit = image_admit,
    .committed = image_committed,
    .read = image_read,
    .commit = image_commit,
    .safe = image_safe,
    .close = image_close,
};

_Static_assert(MXRC_IMAGE_AXES == MXRC_AXES && MXRC_IMAGE_BUFFERS == 2 * MXRC_MEMBERS,
               "image and segment have the same axes and RT processes");
_Static_assert(MXRC_EPOCH_MAX == MXRC_IMAGE_EPOCH_MAX,
               "each epoch of the lease has room in the commit word");
_Static_assert((int)MXRC_IMAGE_POSITION == (int)MXRC_LAW_POSITION &&
                   (int)MXRC_IMAGE_EFFORT == (int)MXRC_LAW_EFFORT,
               "commands of laws go through as they are");
