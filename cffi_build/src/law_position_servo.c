/* law_position_servo.c: the built-in law: position set-points go to drives that close their own loop. */
#include <string.h>

#include "exec.h"
#include "law_step.h"

static int init(void *state, const double *parameters, uint32_t axes, double dt)
{
    (void)state, (void)parameters, (void)axes, (void)dt;
    return 0;
}

static int step(void *state, const double *parameters, const struct mxrc_law_input *input,
                double *command)
{
    (void)state, (void)parameters;
    memcpy(command, input->setpoint, input->axes * sizeof *command);
    return 0;
}

static void reset(void *state, const double *parameters, const struct mxrc_law_input *input)
{
    (void)state, (void)parameters, (void)input;
}

const struct mxrc_law mxrc_law_position_servo = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "position_servo",
    .command = MXRC_LAW_POSITION,
    .init = init,
    .step = step,
    .reset = reset,
};
