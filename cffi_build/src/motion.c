/* motion.c: minimum-jerk point-to-point motion (Flash and Hogan, J. Neuroscience 5(7), 1985), and
 * time-optimal approach under velocity and acceleration limits in discrete time. */
#include <math.h>

#include "motion.h"

/* Of s(u) = 10 u^3 - 15 u^4 + 6 u^5: greatest s' (at u = 1/2) and greatest s'' (at u = 1/2 - sqrt(3)/6). */
#define PEAK_VELOCITY 1.875
#define PEAK_ACCELERATION 5.773502691896258

double mxrc_jerk_duration(double distance, const struct mxrc_axis_config *limits)
{
    double by_velocity = PEAK_VELOCITY * fabs(distance) / limits->velocity_max;
    double by_acceleration = sqrt(PEAK_ACCELERATION * fabs(distance) / limits->acceleration_max);
    return fmax(by_velocity, by_acceleration);
}

void mxrc_jerk_at(double start, double target, double t, double duration,
                  struct mxrc_axis_state *axis)
{
    if (t >= duration) {
        axis->setpoint = target;
        axis->setpoint_velocity = 0;
        axis->setpoint_acceleration = 0;
        return;
    }
    double distance = target - start;
    double u = t / duration;
    axis->setpoint = start + distance * (u * u * u * (10 + u * (-15 + 6 * u)));
    axis->setpoint_velocity = distance / duration * (u * u * (30 + u * (-60 + 30 * u)));
    axis->setpoint_acceleration =
        distance / (duration * duration) * (u * (60 + u * (-180 + 120 * u)));
}

static double clamp(double value, double low, double high)
{
    return fmin(fmax(value, low), high);
}

double mxrc_approach(double error, double target_velocity, double velocity,
                     const struct mxrc_axis_config *limits, double dt)
{
    double step = limits->acceleration_max * dt;
    /* From velocity w, n steps of deceleration cover w^2 / (2 a) + w dt / 2: solved for w. */
    double brake = step * (sqrt(0.25 + 2 * fabs(error) / (step * dt)) - 0.5);
    double closing = copysign(fmin(brake, fabs(error) / dt), error);
    double wish = clamp(target_velocity + closing, -limits->velocity_max, limits->velocity_max);
    return clamp(wish, velocity - step, velocity + step);
}
