/* test_exec_path.c: trapezoidal moves and via points: limits kept, points passed, goes on after a hold and a take-over. */
#include "exec_fixture.h"

static struct mxrc_exec *running(void)
{
    struct mxrc_exec *exec = exec_begun();
    exec_run(exec, 1);
    return exec;
}

static struct mxrc_op *path(uint32_t profile, uint32_t vias, double points[][2])
{
    program_begin();
    struct mxrc_op *move = program_op(MXRC_OP_MOVE_JOINTS);
    move->axes = 3;
    move->key = profile;
    move->count = vias;
    for (uint32_t p = 0; p < vias; p++) {
        struct mxrc_op *op =
            p % 2 == 0 ? program_op(MXRC_OP_VIA) : &program.op[program.program.op_count - 1];
        op->args[p % 2 * MXRC_AXES] = points[p][0];
        op->args[p % 2 * MXRC_AXES + 1] = points[p][1];
    }
    move->args[0] = points[vias][0];
    move->args[1] = points[vias][1];
    move->next = program.program.op_count;
    program_end();
    return move;
}

struct seen {
    double velocity, acceleration, nearest;
    uint32_t cycles;
};

/* Runs the task out; greatest velocity and acceleration of axis 0 and 1, nearest distance to the point. */
static struct seen watch(struct mxrc_exec *exec, const double point[2])
{
    struct seen seen = {.nearest = 1e9};
    double at[2], velocity[2] = {0};
    for (int i = 0; i < 2; i++) {
        at[i] = exec->axis[i].command;
        velocity[i] = exec->axis[i].command_velocity;
    }
    while (exec->active_tasks > 0 && seen.cycles < 60000) {
        mxrc_exec_cycle(exec);
        seen.cycles++;
        for (int i = 0; i < 2; i++) {
            double v = (exec->axis[i].command - at[i]) / 1e-3;
            seen.velocity = fmax(seen.velocity, fabs(v));
            seen.acceleration = fmax(seen.acceleration, fabs(v - velocity[i]) / 1e-3);
            at[i] = exec->axis[i].command;
            velocity[i] = v;
        }
        seen.nearest = fmin(seen.nearest, hypot(at[0] - point[0], at[1] - point[1]));
    }
    return seen;
}

/* 2 rad/s, 10 rad/s^2: 1 rad takes 0.5 + 0.2 s, 0.1 rad 2 sqrt(0.1 / 10) s. */
static void test_trapezoid(void)
{
    const struct {
        double target;
        uint32_t cycles;
    } moves[] = {{1.0, 700}, {0.1, 200}};
    for (uint32_t i = 0; i < 2; i++) {
        struct mxrc_exec *exec = running();
        double start = exec->axis[0].command;
        double points[][2] = {{start + moves[i].target, 0.1}};
        path(MXRC_PROFILE_TRAPEZOIDAL, 0, points);
        send_start(1, 0);
        exec_run(exec, 1);
        struct seen seen = watch(exec, points[0]);
        CHECK_SAY(seen.cycles >= moves[i].cycles && seen.cycles <= moves[i].cycles + 1,
                  "%u cycles, not %u", seen.cycles, moves[i].cycles);
        CHECK(seen.velocity <= 2 * (1 + 1e-6) && seen.acceleration <= 10 * (1 + 1e-4));
        CHECK(exec->axis[0].command == points[0][0] && exec->axis[1].command == points[0][1]);
        CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
        exec_done(exec);
    }
}

static double corner[][2] = {{1.0, 0.1}, {1.0, 1.1}, {0.5, 1.1}, {0.5, -0.5}, {2, -0.5}};

static void test_via_points(void)
{
    for (uint32_t profile = 0; profile < 2; profile++)
        for (uint32_t vias = 1; vias <= 4; vias++) {
            struct mxrc_exec *exec = running();
            path(profile, vias, corner);
            send_start(1, 0);
            exec_run(exec, 1);
            struct seen seen = watch(exec, corner[0]);
            CHECK(seen.cycles < 60000);
            CHECK_SAY(seen.velocity <= 2 * (1 + 1e-6) && seen.acceleration <= 10 * (1 + 1e-4),
                      "velocity %g, acceleration %g", seen.velocity, seen.acceleration);
            CHECK_SAY(seen.nearest < 0.25 && seen.nearest > 1e-4, "passes at %g", seen.nearest);
            CHECK(exec->axis[0].command == corner[vias][0] &&
                  exec->axis[1].command == corner[vias][1]);
            CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
            exec_done(exec);
        }
}

static void test_drawn_out(void)
{
    struct mxrc_exec *exec = running();
    path(MXRC_PROFILE_TRAPEZOIDAL, 2, corner)->duration_ns = 10000 * PERIOD;
    program_seal();
    send_start(1, 0);
    exec_run(exec, 1);
    struct seen seen = watch(exec, corner[0]);
    CHECK_SAY(seen.cycles >= 10000 && seen.cycles <= 10001, "%u cycles", seen.cycles);
    exec_done(exec);
}

/* Nowhere to go to, in a time of its own. */
static void test_no_distance(void)
{
    struct mxrc_exec *exec = running();
    double here[][2] = {{exec->axis[0].command, exec->axis[1].command}};
    path(MXRC_PROFILE_TRAPEZOIDAL, 0, here)->duration_ns = 20 * PERIOD;
    program_seal();
    send_start(1, 0);
    exec_run(exec, 1);
    struct seen seen = watch(exec, here[0]);
    CHECK_EQUAL(seen.cycles, 20);
    CHECK(seen.velocity == 0);
    exec_done(exec);
}

/* Held after the second point: what was passed is not gone to again; a successor goes on along the same way. */
static void test_hold_and_take_over(void)
{
    for (int take_over = 0; take_over < 2; take_over++) {
        struct mxrc_exec *exec = running();
        path(MXRC_PROFILE_TRAPEZOIDAL, 4, corner);
        send_start(1, 0);
        while (exec->axis[1].command < 1.0)
            exec_run(exec, 1);
        exec_run(exec, 300);
        if (take_over) {
            exec_done(exec);
            exec = exec_made();
            CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
        } else {
            send_execution(MXRC_COMMAND_TASK_PAUSE, 1);
            exec_run(exec, 1000);
            send_execution(MXRC_COMMAND_TASK_RESUME, 1);
        }
        exec_run(exec, 1);
        struct seen seen = watch(exec, corner[0]);
        CHECK_SAY(seen.nearest > 0.3, "back to the first point: %g", seen.nearest);
        CHECK(exec->axis[0].command == 2 && exec->axis[1].command == -0.5);
        CHECK(seen.velocity <= 2 * (1 + 1e-6) && seen.acceleration <= 10 * (1 + 1e-4));
        CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
        exec_done(exec);
    }
}

/* A successor with other limits: it slows down with its own and goes on with them, and not along a plan that nobody made. */
static void test_take_over_with_other_limits(void)
{
    for (int slower = 0; slower < 2; slower++) {
        struct mxrc_exec *exec = running();
        double far[][2] = {{exec->axis[0].command + 2, exec->axis[1].command}};
        path(MXRC_PROFILE_TRAPEZOIDAL, 0, far);
        send_start(1, 0);
        exec_run(exec, 700);
        double at = exec->axis[0].command, back = 0;
        exec_done(exec);
        for (uint32_t i = 0; i < AXES; i++)
            config.axis[i].velocity_max = slower ? 0.5 : 8;
        exec = exec_made();
        CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
        for (int i = 0; i < 6000; i++) {
            double before = exec->axis[0].setpoint;
            exec_run(exec, 1);
            back = fmax(back, before - exec->axis[0].setpoint);
        }
        CHECK_SAY(back < 1e-9, "%s: %g back from %g", slower ? "slower" : "faster", back, at);
        CHECK_EQUAL(exec->active_tasks, 0);
        exec_done(exec);
        exec_config_default();
    }
}

/* The same along via points, in motion and held: those that were passed are not gone to again. */
static void test_take_over_at_via_points_with_other_limits(void)
{
    for (uint32_t profile = 0; profile < 2; profile++)
        for (int held = 0; held < 2; held++)
            for (double fast = 0.25; fast <= 8; fast *= 32) {
                struct mxrc_exec *exec = running();
                double from = exec->axis[0].command, other = exec->axis[1].command;
                double points[][2] = {
                    {from + 0.5, other}, {from + 1, other}, {from + 1.5, other}, {from + 2, other}};
                path(profile, 3, points);
                send_start(1, 0);
                while (exec->axis[0].command < from + 1.1)
                    exec_run(exec, 1);
                if (held) {
                    send_execution(MXRC_COMMAND_TASK_PAUSE, 1);
                    exec_run(exec, 500);
                }
                exec_done(exec);
                for (uint32_t i = 0; i < AXES; i++)
                    config.axis[i].velocity_max = fast;
                exec = exec_made();
                CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
                if (held)
                    send_execution(MXRC_COMMAND_TASK_RESUME, 1);
                double back = 0;
                for (int i = 0; i < 12000 && exec->active_tasks > 0; i++) {
                    double before = exec->axis[0].setpoint;
                    exec_run(exec, 1);
                    back = fmax(back, before - exec->axis[0].setpoint);
                }
                CHECK_SAY(back < 1e-9, "profile %u, held %d, %g rad/s: %g back in a cycle", profile,
                          held, fast, back);
                CHECK_EQUAL(exec->active_tasks, 0);
                exec_done(exec);
                exec_config_default();
            }
}

/* The same way along via points twice. */
static struct mxrc_exec *moving_twice(uint32_t profile)
{
    double round[4][2] = {{0.3, 0.4}, {0.6, -0.2}, {0.2, -0.5}, {0.8, 0.3}};
    struct mxrc_exec *exec = running();
    path(profile, 3, round);
    uint32_t first = --program.program.op_count;
    for (uint32_t i = 0; i < first; i++) {
        struct mxrc_op *op = program_op(program.op[i].kind);
        uint32_t next = op->next;
        *op = program.op[i];
        op->next = op->kind == MXRC_OP_MOVE_JOINTS ? 2 * first : next;
    }
    program_end();
    send_start(1, 0);
    return exec;
}

/* A process that ends in a slot about the beginning of the second: what the first has passed is none of the second's. */
static void test_take_over_between_two_moves(void)
{
    for (uint32_t profile = 0; profile < 2; profile++)
        for (uint32_t held = 0; held < 2; held++)
            for (uint32_t after = 0; after < 6; after++) {
                struct mxrc_exec *exec = moving_twice(profile);
                while (exec->task[0].strand.op == 0)
                    exec_run(exec, 1);
                exec_run(exec, after);
                if (held) {
                    send_execution(MXRC_COMMAND_TASK_PAUSE, 1);
                    exec_run(exec, 100);
                }
                exec_done(exec);
                fake.now_ns += 15 * PERIOD;
                exec = exec_made();
                CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
                if (held)
                    send_execution(MXRC_COMMAND_TASK_RESUME, 1);
                double greatest = 0, highest = -9;
                for (uint32_t i = 0; i < 20000 && exec->active_tasks > 0; i++) {
                    double before = exec->axis[0].setpoint;
                    exec_run(exec, 1);
                    greatest = fmax(greatest, fabs(exec->axis[0].setpoint - before));
                    if (i < 500)
                        highest = fmax(highest, exec->axis[1].setpoint);
                }
                CHECK_SAY(greatest <= 2e-3 * (1 + 1e-6), "profile %u, %u slots after: %g at once",
                          profile, after, greatest);
                CHECK_SAY(highest > 0.3, "the first point is left out: %g", highest);
                CHECK_EQUAL(exec->active_tasks, 0);
                exec_done(exec);
            }
}

/* Policy catch_up, more than 10 ms late: the arm has stopped, and the slots that are run back to back are the first ones of a motion from
 * rest. */
static void test_catch_up_goes_on_from_rest(void)
{
    for (uint32_t late = 11; late <= 25; late++)
        for (int asleep = 0; asleep < 2; asleep++) {
            config.overrun_policy = MXRC_OVERRUN_CATCH_UP;
            struct mxrc_exec *exec = running();
            double far[][2] = {{exec->axis[0].command + 2, exec->axis[1].command}};
            path(MXRC_PROFILE_TRAPEZOIDAL, 0, far);
            send_start(1, 0);
            while (exec->axis[0].command_velocity < 1.7)
                exec_run(exec, 1);
            if (asleep) {
                fake.now_ns = exec->now.scheduled_ns + late * PERIOD;
            } else {
                fake.work_ns = late * PERIOD;
                exec_run(exec, 1);
                fake.work_ns = 0;
            }
            double before = exec->axis[0].command;
            uint64_t now = fake.now_ns;
            while (exec->now.scheduled_ns <= now)
                exec_run(exec, 1);
            CHECK_SAY(exec->axis[0].command - before < 1e-3, "%u ms late: %g at once", late,
                      exec->axis[0].command - before);
            exec_done(exec);
            exec_config_default();
        }
}

/* Up a little, then far across: held at once and let go again, it goes up first all the same. */
static void test_a_near_point_is_not_left_out(void)
{
    for (uint32_t profile = 0; profile < 2; profile++) {
        double nearest[2];
        for (int held = 0; held < 2; held++) {
            struct mxrc_exec *exec = running();
            double points[][2] = {{exec->axis[0].command, exec->axis[1].command + 0.04},
                                  {exec->axis[0].command + 2, exec->axis[1].command + 0.04}};
            path(profile, 1, points);
            send_start(1, 0);
            exec_run(exec, 3);
            if (held) {
                send_execution(MXRC_COMMAND_TASK_PAUSE, 1);
                exec_run(exec, 100);
                send_execution(MXRC_COMMAND_TASK_RESUME, 1);
                exec_run(exec, 1);
            }
            nearest[held] = watch(exec, points[0]).nearest;
            exec_done(exec);
        }
        CHECK_SAY(nearest[1] < 1.1 * nearest[0], "held it passes at %g, else at %g", nearest[1],
                  nearest[0]);
    }
}

static struct mxrc_exec *restarted(struct mxrc_exec *exec)
{
    exec_done(exec);
    fake.now_ns += 15 * PERIOD;
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    return exec;
}

/* A machine that stands still, or a process that is restarted, again and again: from rest each time, and for less time than the blend
 * around a point takes. Every point is passed in its turn, and the way has an end. */
static void test_arrives_over_interruptions(int restart)
{
    const uint32_t run[] = {80, 150, 300};
    for (uint32_t profile = 0; profile < 2; profile++)
        for (uint32_t r = 0; r < 3; r++) {
            struct mxrc_exec *exec = running();
            double nearest[4] = {9, 9, 9, 9};
            uint32_t stalls = 0, cycle = 0, when[4] = {0};
            path(profile, 4, corner);
            send_start(1, 0);
            exec_run(exec, 1);
            for (; exec->active_tasks > 0 && stalls < 2000; stalls++) {
                if (restart)
                    exec = restarted(exec);
                for (uint32_t i = 0; i < run[r] && exec->active_tasks > 0; i++) {
                    fake.work_ns = i == 0 && !restart ? 15 * PERIOD : 0;
                    exec_run(exec, 1);
                    cycle++;
                    for (uint32_t k = 0; k < 4; k++) {
                        double distance = hypot(exec->axis[0].command - corner[k][0],
                                                exec->axis[1].command - corner[k][1]);
                        if (distance < nearest[k]) {
                            nearest[k] = distance;
                            when[k] = cycle;
                        }
                    }
                }
            }
            CHECK_SAY(exec->active_tasks == 0,
                      "profile %u, %u cycles at a time: not there after %u", profile, run[r],
                      stalls);
            for (uint32_t k = 0; k < 4; k++)
                CHECK_SAY(nearest[k] < 0.25, "point %u is passed at %g", k, nearest[k]);
            for (uint32_t k = 1; k < 4; k++)
                CHECK(when[k] > when[k - 1]);
            CHECK(exec->axis[0].command == 2 && exec->axis[1].command == -0.5);
            CHECK_EQUAL(counter(MXRC_COUNTER_OUTPUTS_LIMITED), 0);
            exec_done(exec);
        }
}

int main(void)
{
    exec_config_default();
    test_trapezoid();
    test_via_points();
    test_drawn_out();
    test_no_distance();
    test_hold_and_take_over();
    test_take_over_with_other_limits();
    test_take_over_at_via_points_with_other_limits();
    test_take_over_between_two_moves();
    test_catch_up_goes_on_from_rest();
    test_a_near_point_is_not_left_out();
    test_arrives_over_interruptions(0);
    test_arrives_over_interruptions(1);
    return test_summary();
}
