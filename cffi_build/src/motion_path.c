/* motion_path.c: see motion_path.h. Bounded work: points times axes. */
#include <math.h>

#include "motion_path.h"

/* Greatest slope of the blend 10 u^3 - 15 u^4 + 6 u^5, at u = 1/2. */
#define PEAK_SMOOTH 1.875

static int drives(uint32_t mask, uint32_t axis)
{
    return (int)(mask >> axis & 1);
}

/* Shortest time of each segment by itself: `own` is the blend at one of its ends, were the axes at rest there. */
static double segment_time(const struct mxrc_path *path, uint32_t k, uint32_t mask,
                           const struct mxrc_axis_config *axes, double share, double peak)
{
    double time = 0;
    for (uint32_t i = 0; i < MXRC_AXES; i++) {
        if (!drives(mask, i))
            continue;
        double way = fabs(path->point[k + 1][i] - path->point[k][i]);
        time = fmax(time, way / (axes[i].velocity_max * share));
        time = fmax(time, sqrt(peak * way / (axes[i].acceleration_max * share)));
    }
    return time;
}

/* Greatest time that an axis needs to change its velocity by that of segments j and k together (j = k: by one of them). */
static double blend_of(const struct mxrc_path *path, uint32_t k, double time, uint32_t mask,
                       const struct mxrc_axis_config *axes, double share, double peak)
{
    double blend = 0;
    for (uint32_t i = 0; i < MXRC_AXES && time > 0; i++)
        if (drives(mask, i))
            blend = fmax(blend, peak * fabs(path->point[k + 1][i] - path->point[k][i]) / time /
                                    (axes[i].acceleration_max * share));
    return blend;
}

void mxrc_path_plan(struct mxrc_path *path, uint32_t points, uint32_t profile, uint32_t mask,
                    const struct mxrc_axis_config *axes, double share, double seconds)
{
    double peak = profile == MXRC_PROFILE_TRAPEZOIDAL ? 1.0 : PEAK_SMOOTH;
    double time[MXRC_PATH_POINTS] = {0}, own[MXRC_PATH_POINTS] = {0};
    uint32_t segments = points - 1;
    for (uint32_t k = 0; k < segments; k++) {
        time[k] = segment_time(path, k, mask, axes, share, peak);
        own[k] = blend_of(path, k, time[k], mask, axes, share, peak);
    }
    /* Half of the blends at both ends fit into a segment: a blend is at most the own ones of its two segments, and
     * these only become shorter when a segment takes longer. */
    for (uint32_t k = 0; k < segments; k++) {
        double before = k > 0 ? own[k - 1] : 0, after = k + 1 < segments ? own[k + 1] : 0;
        double needed = k == 0 && segments == 1 ? own[k] : own[k] + (before + after) / 2;
        time[k] = fmax(time[k], needed);
    }
    for (uint32_t k = 0; k <= segments; k++)
        for (uint32_t i = 0; i < MXRC_AXES; i++)
            path->velocity[k][i] = k < segments && drives(mask, i) && time[k] > 0
                                       ? (path->point[k + 1][i] - path->point[k][i]) / time[k]
                                       : 0;
    for (uint32_t k = 0; k <= segments; k++) {
        path->blend[k] = 0;
        for (uint32_t i = 0; i < MXRC_AXES; i++)
            if (drives(mask, i))
                path->blend[k] = fmax(
                    path->blend[k],
                    peak * fabs(path->velocity[k][i] - (k > 0 ? path->velocity[k - 1][i] : 0)) /
                        (axes[i].acceleration_max * share));
    }
    path->at[0] = path->blend[0] / 2;
    for (uint32_t k = 0; k < segments; k++)
        path->at[k + 1] = path->at[k] + time[k];
    path->points = points;
    path->profile = profile;
    path->duration = path->at[segments] + path->blend[segments] / 2;
    /* Nowhere to go to takes the time that was asked for, too. */
    path->scale = path->duration > 0 && seconds > path->duration ? path->duration / seconds : 1;
}

/* Of the blend: share of the change of velocity, its integral and its derivative over u in [0, 1]. */
static void blend_at(uint32_t profile, double u, double *share, double *integral, double *slope)
{
    if (profile == MXRC_PROFILE_TRAPEZOIDAL) {
        *share = u;
        *integral = u * u / 2;
        *slope = 1;
        return;
    }
    *share = u * u * u * (10 + u * (-15 + 6 * u));
    *integral = u * u * u * u * (2.5 + u * (-3 + u));
    *slope = u * u * (30 + u * (-60 + 30 * u));
}

void mxrc_path_at(const struct mxrc_path *path, uint32_t mask, double t,
                  struct mxrc_axis_state *axes)
{
    uint32_t last = path->points - 1, k = 0;
    double now = t * path->scale;
    int ended = now >= path->duration;
    while (k < last && now >= path->at[k + 1] - path->blend[k + 1] / 2)
        k++;
    double into = now - (path->at[k] - path->blend[k] / 2);
    int blending = into < path->blend[k];
    double share = 1, integral = 0, slope = 0;
    if (blending)
        blend_at(path->profile, into / path->blend[k], &share, &integral, &slope);
    for (uint32_t i = 0; i < MXRC_AXES; i++) {
        if (!drives(mask, i))
            continue;
        double before = k > 0 ? path->velocity[k - 1][i] : 0, after = path->velocity[k][i];
        double since = now - path->at[k];
        axes[i].setpoint_acceleration = 0;
        if (ended) {
            axes[i].setpoint = path->point[last][i];
            axes[i].setpoint_velocity = 0;
        } else if (blending) {
            axes[i].setpoint =
                path->point[k][i] + before * since + (after - before) * path->blend[k] * integral;
            axes[i].setpoint_velocity = (before + (after - before) * share) * path->scale;
            axes[i].setpoint_acceleration =
                (after - before) / path->blend[k] * slope * path->scale * path->scale;
        } else {
            axes[i].setpoint = path->point[k][i] + after * since;
            axes[i].setpoint_velocity = after * path->scale;
        }
    }
}

/* Whether the axes, in the blend around inner point k, are as near to the point as its middle is; axes of unlike units by
 * the time that the way takes at their greatest velocity. */
static int is_near(const struct mxrc_path *path, uint32_t k, uint32_t mask,
                   const struct mxrc_axis_config *limits, const struct mxrc_axis_state *axes)
{
    double share, integral, slope, there = 0, here = 0;
    blend_at(path->profile, 0.5, &share, &integral, &slope);
    for (uint32_t i = 0; i < MXRC_AXES; i++) {
        if (!drives(mask, i))
            continue;
        double change = path->velocity[k][i] - path->velocity[k - 1][i];
        double passes = change * path->blend[k] * integral / limits[i].velocity_max;
        double is = (axes[i].setpoint - path->point[k][i]) / limits[i].velocity_max;
        there += passes * passes;
        here += is * is;
    }
    return here <= there;
}

uint32_t mxrc_path_passed(const struct mxrc_path *path, uint32_t mask, double t,
                          const struct mxrc_axis_config *limits, const struct mxrc_axis_state *axes)
{
    uint32_t passed = 0;
    double now = t * path->scale;
    for (uint32_t k = 1; k + 1 < path->points; k++) {
        int begun = now >= path->at[k] - path->blend[k] / 2;
        if (now < path->at[k] && !(begun && is_near(path, k, mask, limits, axes)))
            break;
        passed = k;
    }
    return passed;
}
