/* motion.h: how an axis may move within its limits. Units: rad or m, and seconds. */
#ifndef MXRC_MOTION_H
#define MXRC_MOTION_H

#include "mxrc/core.h"

/* Shortest minimum-jerk move over `distance` within velocity and acceleration limits, in seconds. */
double mxrc_jerk_duration(double distance, const struct mxrc_axis_config *limits);
/* Position, velocity and acceleration at `t` of the minimum-jerk move from rest at `start` to rest at `target`. */
void mxrc_jerk_at(double start, double target, double t, double duration,
                  struct mxrc_axis_state *axis);

/* The velocity of the next step of `dt` that brings an axis (at `velocity`) closer to a target that is `error` ahead
 * and moves at `target_velocity`, within both limits and without passing it. */
double mxrc_approach(double error, double target_velocity, double velocity,
                     const struct mxrc_axis_config *limits, double dt);

#endif
