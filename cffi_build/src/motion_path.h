/* motion_path.h: moves of several axes along straight segments between points, from rest to rest. */
#ifndef MXRC_MOTION_PATH_H
#define MXRC_MOTION_PATH_H

#include "mxrc/core.h"

#define MXRC_PATH_POINTS (MXRC_VIA_POINTS + 2)

/* Linear segments with blends of the velocity around each point: J. Craig, Introduction to Robotics, "Linear function with
 * parabolic blends". Profile TRAPEZOIDAL blends at constant acceleration; MINIMUM_JERK by 10 u^3 - 15 u^4 + 6 u^5, so that
 * acceleration is continuous, too. All axes pass each blend at the same time; at an inner point they pass near it. */
struct mxrc_path {
    uint32_t points; /* segments + 1; 0: not planned */
    uint32_t profile;
    double duration;                /* s, as planned */
    double scale;                   /* planned seconds per second: 1, or less when drawn out */
    double at[MXRC_PATH_POINTS];    /* time of the middle of the blend around a point */
    double blend[MXRC_PATH_POINTS]; /* length of that blend */
    double point[MXRC_PATH_POINTS][MXRC_AXES];
    double velocity[MXRC_PATH_POINTS]
                   [MXRC_AXES]; /* of the segment that begins at a point; last: 0 */
};

/* Plans through path->point[0 .. points - 1] for the axes of `mask`, as fast as the share of the limits allows, and draws
 * it out to `seconds` if that is longer. */
void mxrc_path_plan(struct mxrc_path *path, uint32_t points, uint32_t profile, uint32_t mask,
                    const struct mxrc_axis_config *axes, double share, double seconds);
/* Set-points of the axes of `mask` at `t` seconds. */
void mxrc_path_at(const struct mxrc_path *path, uint32_t mask, double t,
                  struct mxrc_axis_state *axes);
/* Inner points that need not be gone to any more by `axes`, stopped at `t` seconds: those whose middle was passed, and one whose
 * blend has begun if the axes are as near to it as the middle is. Without the latter a move that is stopped again and again
 * would creep up to a point for ever: the nearer it starts, the slower it goes into the blend. */
uint32_t mxrc_path_passed(const struct mxrc_path *path, uint32_t mask, double t,
                          const struct mxrc_axis_config *limits,
                          const struct mxrc_axis_state *axes);

#endif
