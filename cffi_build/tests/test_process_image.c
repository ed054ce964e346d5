/* test_process_image.c: who may make, attach and keep a process image; the watchdog; an executive behind it. */
#include "../src/lease.h"
#include "../src/process_image.h"
#include "exec_fixture.h"

static struct mxrc_image plant;
static char image[40];

static int create(struct mxrc_image *made)
{
    error[0] = '\0';
    return mxrc_image_create(made, image, AXES, 100000000, error, sizeof error);
}

static int attach(struct mxrc_image *made, uint64_t generation)
{
    error[0] = '\0';
    return mxrc_image_attach(made, image, AXES, generation, error, sizeof error);
}

static int exists(void)
{
    char name[64];
    snprintf(name, sizeof name, "/mxrc-image-%s", image);
    int descriptor = shm_open(name, O_RDONLY, 0);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0;
}

static void test_life(void)
{
    struct mxrc_image second, executive, other;
    CHECK_EQUAL(attach(&executive, 1), ENOENT);
    CHECK_HAS(error, "start the plant");
    CHECK_EQUAL(create(&plant), 0);
    CHECK_EQUAL(create(&second), EBUSY);
    CHECK_HAS(error, "another plant");
    CHECK_EQUAL(attach(&executive, 1), 0);
    CHECK_EQUAL(attach(&other, 1), 0); /* a standby */
    CHECK_EQUAL(attach(&second, 2), EBUSY);
    CHECK_HAS(error, "another instance");
    CHECK_EQUAL(mxrc_image_attach(&second, image, 3, 1, error, sizeof error), EINVAL);
    CHECK_HAS(error, "the plant has 6 axes, robot.json has 3");

    mxrc_image_close(&plant); /* the executives keep it */
    CHECK(exists());
    uint64_t first = plant.incarnation;
    CHECK_EQUAL(create(&plant), 0);
    CHECK(plant.incarnation > first);
    mxrc_image_close(&executive);
    mxrc_image_close(&other);
    CHECK(exists());
    CHECK_EQUAL(attach(&executive, 2), 0); /* the generation before has gone */
    mxrc_image_close(&plant);
    mxrc_image_close(&executive);
    CHECK(!exists());
    CHECK_EQUAL(mxrc_image_create(&plant, "a/b", AXES, 1, error, sizeof error), EINVAL);
    CHECK_EQUAL(mxrc_image_create(&plant, "", AXES, 1, error, sizeof error), EINVAL);
    CHECK_EQUAL(mxrc_image_create(&plant, image, 9, 1, error, sizeof error), EINVAL);
}

static void test_layout(void)
{
    struct mxrc_image executive;
    CHECK_EQUAL(create(&plant), 0);
    plant.shared->header.hash++;
    CHECK_EQUAL(attach(&executive, 1), EINVAL);
    CHECK_HAS(error, "layout 2 with hash");
    mxrc_image_close(&plant);
    CHECK(!exists());
}

/* Epochs of one generation begin where those of another ended: the word is claimed anew. */
static void test_generations(void)
{
    struct mxrc_image executive;
    struct mxrc_image_outputs out;
    const double command[AXES] = {1, 2, 3, 4, 5, 6};
    CHECK_EQUAL(create(&plant), 0);
    CHECK_EQUAL(attach(&executive, 1), 0);
    CHECK_EQUAL(mxrc_image_commit(&executive, 0, 9, 1, 1, MXRC_IMAGE_EFFORT, command), ESTALE);
    CHECK_EQUAL(mxrc_image_admit(&executive, 9), 0);
    CHECK_EQUAL(mxrc_image_admit(&executive, 9), 0);
    CHECK_EQUAL(mxrc_image_admit(&executive, 8), ESTALE);
    CHECK_EQUAL(mxrc_image_admit(&executive, 1ull << 32), EOVERFLOW);
    CHECK_EQUAL(mxrc_image_commit(&executive, 0, 9, 1, 1, MXRC_IMAGE_EFFORT, command), 0);
    mxrc_image_close(&executive);
    CHECK_EQUAL(attach(&executive, 2), 0);
    CHECK_EQUAL(mxrc_image_commit(&executive, 0, 9, 2, 1, MXRC_IMAGE_EFFORT, command), ESTALE);
    CHECK_EQUAL(mxrc_image_admit(&executive, 1), 0);
    CHECK_EQUAL(mxrc_image_commit(&executive, 0, 1, 3, 1, MXRC_IMAGE_EFFORT, command), 0);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 1, &out), MXRC_IMAGE_TAKEN);
    CHECK(out.cycle == 3 && out.kind == MXRC_IMAGE_EFFORT && out.command[5] == 6);
    mxrc_image_close(&executive);
    mxrc_image_close(&plant);
}

/* The last epoch of the lease is the last one of the image, and fences off the one before it. */
static void test_last_epoch(void)
{
    struct mxrc_image executive;
    struct mxrc_image_outputs out;
    const uint64_t last = MXRC_EPOCH_MAX;
    const double command[AXES] = {1, 2, 3, 4, 5, 6};
    CHECK_EQUAL(create(&plant), 0);
    CHECK_EQUAL(attach(&executive, 1), 0);
    CHECK_EQUAL(mxrc_image_admit(&executive, last - 1), 0);
    CHECK_EQUAL(mxrc_image_commit(&executive, 0, last - 1, 1, 1, MXRC_IMAGE_POSITION, command), 0);
    CHECK_EQUAL(mxrc_image_admit(&executive, last), 0);
    CHECK_EQUAL(mxrc_image_commit(&executive, 0, last - 1, 2, 1, MXRC_IMAGE_POSITION, command),
                ESTALE);
    CHECK_EQUAL(mxrc_image_commit(&executive, 1, last, 3, 1, MXRC_IMAGE_POSITION, command), 0);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 1, &out), MXRC_IMAGE_TAKEN);
    CHECK(out.cycle == 3 && mxrc_image_epoch(out.head) == last);
    CHECK_EQUAL(mxrc_image_admit(&executive, last + 1), EOVERFLOW);
    CHECK_EQUAL(mxrc_image_admit(&executive, 1), ESTALE);
    mxrc_image_close(&executive);
    mxrc_image_close(&plant);
}

static void test_watchdog(void)
{
    struct mxrc_image executive;
    struct mxrc_image_outputs out;
    const double command[AXES] = {1, 2, 3, 4, 5, 6}, at[AXES] = {7, 7, 7}, later[AXES] = {8};
    CHECK_EQUAL(create(&plant), 0);
    CHECK_EQUAL(attach(&executive, 1), 0);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 1, &out), MXRC_IMAGE_STOPPED);
    CHECK_EQUAL(out.kind, MXRC_IMAGE_SAFE);
    mxrc_image_admit(&executive, 1);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 1, &out), MXRC_IMAGE_STOPPED);
    mxrc_image_commit(&executive, 0, 1, 1, 1, MXRC_IMAGE_EFFORT, command);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 1000, &out), MXRC_IMAGE_TAKEN);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 100001000, &out), MXRC_IMAGE_HELD);
    CHECK(out.kind == MXRC_IMAGE_EFFORT && out.command[1] == 2);
    mxrc_image_write_inputs(&plant, 100001001, at, at, NULL);
    /* A take-over is no commit: the watchdog goes on. */
    mxrc_image_admit(&executive, 2);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 100001001, &out), MXRC_IMAGE_STOPPED);
    CHECK(out.kind == MXRC_IMAGE_SAFE && out.command[0] == 7);
    mxrc_image_write_inputs(&plant, 100001002, later, later, NULL);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 200001001, &out), MXRC_IMAGE_STOPPED);
    CHECK(out.command[0] == 7); /* where it was then */
    mxrc_image_commit(&executive, 0, 2, 2, 2, MXRC_IMAGE_POSITION, command);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 200001002, &out), MXRC_IMAGE_TAKEN);
    /* One that starts holds its axes where it finds them. */
    struct mxrc_image_outputs begin;
    mxrc_image_close(&plant);
    CHECK_EQUAL(create(&plant), 0);
    mxrc_image_write_inputs(&plant, 1, at, at, NULL);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 1, &begin), MXRC_IMAGE_STOPPED);
    CHECK(begin.kind == MXRC_IMAGE_SAFE && begin.command[0] == 7);
    mxrc_image_write_inputs(&plant, 2, later, later, NULL);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 2, &begin), MXRC_IMAGE_STOPPED);
    CHECK(begin.command[0] == 7);
    /* One that starts later does not act on what was committed to the one before. */
    mxrc_image_commit(&executive, 0, 2, 3, 3, MXRC_IMAGE_POSITION, command);
    mxrc_image_close(&plant);
    CHECK_EQUAL(create(&plant), 0);
    CHECK_EQUAL(mxrc_image_read_outputs(&plant, 200001003, &out), MXRC_IMAGE_STOPPED);
    mxrc_image_close(&executive);
    mxrc_image_close(&plant);
}

/* ---- an executive with this driver ---- */

static double position[AXES], velocity[AXES];

/* A cycle of an arm that is where it was told to be. */
static int cycle(struct mxrc_exec *exec, struct mxrc_image_outputs *out)
{
    mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
    int result = mxrc_exec_cycle(exec);
    int taken = mxrc_image_read_outputs(&plant, fake.now_ns, out);
    if (taken == MXRC_IMAGE_TAKEN)
        memcpy(position, out->command, sizeof position);
    return result;
}

static void run(struct mxrc_exec *exec, int count)
{
    struct mxrc_image_outputs out;
    while (count--)
        CHECK_EQUAL(cycle(exec, &out), 0);
}

static void test_executive(void)
{
    struct mxrc_image_outputs out;
    for (uint32_t i = 0; i < AXES; i++)
        position[i] = 0.1 * i;
    config.driver = MXRC_DRIVER_PROCESS_IMAGE;
    config.image_timeout_ns = 20000000;
    strcpy(config.image_name, image);
    exec_segment();
    CHECK(mxrc_exec_new(&rt, &config, error, sizeof error) == NULL);
    CHECK_HAS(error, "start the plant");
    CHECK_EQUAL(create(&plant), 0);
    struct mxrc_exec *exec = exec_made();
    CHECK(mxrc_exec_begin(exec, error, sizeof error) != 0); /* nothing was measured yet */
    mxrc_exec_free(exec);
    mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
    exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);

    program_begin();
    program_move(0, 1.0, 1000000000);
    program_end();
    send_start(1, 0);
    run(exec, 1200);
    CHECK_SAY(fabs(position[0] - 1.0) < 1e-9, "at %g", position[0]);
    CHECK_EQUAL(cycle(exec, &out), 0);
    CHECK_EQUAL(out.cycle, exec->now.cycle - 1);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);

    /* The plant hangs: first the inputs before do, then it is a fault. */
    exec_run(exec, 15);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    exec_run(exec, 10);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_DRIVER);

    /* Another one starts, with the arm elsewhere: it stays there. */
    mxrc_image_close(&plant);
    CHECK_EQUAL(create(&plant), 0);
    position[0] = -0.5;
    for (int i = 0; i < 50; i++) {
        CHECK_EQUAL(cycle(exec, &out), 0);
        CHECK_SAY(fabs(position[0] + 0.5) < 1e-9, "sent to %g", position[0]);
    }
    send_event(MXRC_RT_SAFE_MODE_EXIT);
    run(exec, 2);
    send_event(MXRC_RT_RESUME);
    run(exec, 50);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    CHECK(fabs(position[0] + 0.5) < 1e-9);

    /* A restart of the plant that takes no time is seen all the same. */
    mxrc_image_close(&plant);
    CHECK_EQUAL(create(&plant), 0);
    position[1] = 0.7;
    run(exec, 20);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK(fabs(position[1] - 0.7) < 1e-9);

    /* Not a number: not an input. */
    velocity[3] = NAN;
    run(exec, 1);
    velocity[3] = 0;
    CHECK(isfinite(exec->inputs.velocity[3]));

    /* Fenced off: nothing reaches the plant any more. */
    run(exec, 5);
    struct mxrc_lease *lease = mxrc_region(&rt, MXRC_REGION_LEASE, NULL);
    mxrc_store_release(&lease->admitted_epoch, exec->epoch + 1);
    CHECK_EQUAL(cycle(exec, &out), ESTALE);
    CHECK(out.cycle < exec->now.cycle);
    exec_done(exec);
    mxrc_image_close(&plant);
    CHECK(!exists());
}

/* The lease still admits the old one, which is what a process that stalled behind that check believes; the word does not. */
static void test_executive_behind_its_check(void)
{
    struct mxrc_image_outputs out;
    struct mxrc_image successor;
    CHECK_EQUAL(create(&plant), 0);
    exec_segment();
    mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
    struct mxrc_exec *exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    run(exec, 20);
    CHECK_EQUAL(attach(&successor, rt.generation), 0);
    CHECK_EQUAL(mxrc_image_admit(&successor, exec->epoch + 1), 0);
    CHECK_EQUAL(cycle(exec, &out), ESTALE);
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_COMMIT_REFUSED, &(struct mxrc_event){0}));
    exec_done(exec);
    mxrc_image_close(&successor);
    mxrc_image_close(&plant);
}

static void test_stop(void)
{
    struct mxrc_image_outputs out;
    CHECK_EQUAL(create(&plant), 0);
    exec_segment();
    mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
    struct mxrc_exec *exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    run(exec, 20);
    send_event(MXRC_RT_STOP);
    int result = 0;
    for (int i = 0; i < 100 && result == 0; i++)
        result = cycle(exec, &out);
    CHECK_EQUAL(result, 1);
    CHECK_EQUAL(out.kind, MXRC_IMAGE_SAFE);
    CHECK(out.command[2] == position[2]);
    exec_done(exec);
    mxrc_image_close(&plant);
}

static struct mxrc_exec *begun_again(void)
{
    mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
    struct mxrc_exec *exec = exec_made();
    CHECK_EQUAL(mxrc_exec_begin(exec, error, sizeof error), 0);
    return exec;
}

/* At 1.0, on the way to 1.5. */
static struct mxrc_exec *in_motion(void)
{
    memset(position, 0, sizeof position);
    memset(velocity, 0, sizeof velocity);
    CHECK_EQUAL(create(&plant), 0);
    exec_segment();
    struct mxrc_exec *exec = begun_again();
    program_begin();
    program_move(0, 1.5, 2000000000);
    program_end();
    send_start(1, 0);
    while (position[0] < 1.0)
        run(exec, 1);
    return exec;
}

/* In order, by a person. */
static void stop(struct mxrc_exec *exec)
{
    struct mxrc_image_outputs out;
    send_event(MXRC_RT_STOP);
    while (cycle(exec, &out) == 0)
        ;
    exec_done(exec);
}

static void plant_anew(void)
{
    mxrc_image_close(&plant);
    CHECK_EQUAL(create(&plant), 0);
}

/* For `count` cycles axis 0 is not sent away from `at`. */
static void stays(struct mxrc_exec *exec, int count, double at)
{
    while (count--) {
        run(exec, 1);
        CHECK_SAY(fabs(position[0] - at) < 1e-9, "sent to %g from %g", position[0], at);
    }
}

/* Nobody was PRIMARY for a while, and the arm was moved by hand meanwhile: it stays where it is, and motion goes on from there. */
static void test_moved_while_nobody_was_there(void)
{
    struct mxrc_image_outputs out;
    struct mxrc_event event;
    struct mxrc_exec *exec = in_motion();
    exec_done(exec);
    position[0] = -0.5;
    fake.now_ns += 1500000000;
    exec = begun_again();
    double before = position[0], step = 0, greatest = 0;
    for (int i = 0; i < 5000 && fabs(position[0] - 1.5) > 1e-9; i++) {
        CHECK_EQUAL(cycle(exec, &out), 0);
        greatest = fmax(greatest, fabs(position[0] - before - step));
        step = position[0] - before;
        before = position[0];
    }
    /* 10 rad/s^2 at 1 kHz */
    CHECK_SAY(greatest <= 1e-5 * (1 + 1e-3), "velocity changes by %g in a cycle", greatest * 1e3);
    CHECK(fabs(position[0] - 1.5) < 1e-9);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    CHECK(next_event(MXRC_EVENT_LOG, MXRC_EV_AXIS_MOVED, &event));
    CHECK(event.args[0] == 0 && fabs(event.args[1] + 0.5) < 1e-9);
    exec_done(exec);
    mxrc_image_close(&plant);
}

/* Held at a place in SAFE_MODE: the place is where it was found. */
static void test_moved_in_safe_mode(void)
{
    config.axis[0].safe_action = MXRC_SAFE_HOLD;
    struct mxrc_exec *exec = in_motion();
    send_event(MXRC_RT_SAFE_MODE_ENTER);
    run(exec, 500);
    exec_done(exec);
    position[0] = -0.5;
    fake.now_ns += 1500000000;
    exec = begun_again();
    stays(exec, 500, -0.5);
    exec_done(exec);
    mxrc_image_close(&plant);
    config.axis[0].safe_action = MXRC_SAFE_RAMP;
}

/* The plant was started anew meanwhile: as if that had happened with a PRIMARY. */
static void test_another_plant_while_nobody_was_there(void)
{
    struct mxrc_exec *exec = in_motion();
    exec_done(exec);
    plant_anew();
    position[0] = -0.5;
    fake.now_ns += 20 * PERIOD;
    exec = begun_again();
    stays(exec, 50, -0.5);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_DRIVER);
    exec_done(exec);
    mxrc_image_close(&plant);
}

/* The PRIMARY has seen that the plant was started anew, or was blind for a while, and is gone: its successor knows. */
static void test_a_successor_after_a_driver_fault(int blind)
{
    struct mxrc_exec *exec = in_motion();
    struct mxrc_exec *second = exec_made();
    if (blind) {
        exec_run(exec, 200);
    } else {
        plant_anew();
        position[0] = -0.5;
        run(exec, 1);
    }
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_DRIVER);
    exec_done(exec);
    double at = position[0];
    mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
    CHECK_EQUAL(mxrc_exec_begin(second, error, sizeof error), 0);
    stays(second, 500, at);
    exec_done(second);
    mxrc_image_close(&plant);
}

/* A thread that wakes after seconds: the arm may have been moved, in motion or in a pause. */
static void test_moved_while_it_slept(int paused)
{
    struct mxrc_image_outputs out;
    struct mxrc_exec *exec = in_motion();
    if (paused) {
        send_event(MXRC_RT_PAUSE);
        run(exec, 500);
    }
    position[0] = -0.5;
    fake.now_ns = exec->now.scheduled_ns + 3000000000;
    CHECK_EQUAL(cycle(exec, &out), 0);
    CHECK_SAY(fabs(position[0] + 0.5) < 1e-9, "sent to %g", position[0]);
    exec_done(exec);
    mxrc_image_close(&plant);
}

/* It is held up between its look at the inputs and its commit, and the arm is moved meanwhile. */
static void moved_meanwhile(void *context, uint32_t phase)
{
    (void)context;
    if (phase != MXRC_AT_TASKS || position[0] == -0.5)
        return;
    fake.now_ns += 3000000000;
    position[0] = -0.5;
    mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
}

static void test_moved_while_it_worked(void)
{
    struct mxrc_exec *exec = in_motion();
    exec->at_phase = moved_meanwhile;
    run(exec, 1);
    CHECK_SAY(fabs(position[0] + 0.5) < 1e-9, "sent to %g", position[0]);
    exec->at_phase = NULL;
    for (int i = 0; i < 20; i++) {
        run(exec, 1);
        CHECK_SAY(fabs(position[0] + 0.5) < 1e-2, "sent to %g", position[0]);
    }
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    while (exec->active_tasks > 0)
        run(exec, 1);
    CHECK(fabs(position[0] - 1.5) < 1e-9);
    exec_done(exec);
    mxrc_image_close(&plant);
}

/* ---- a law that remembers: a low-pass of the set-points ---- */

static int low_pass_init(void *state, const double *parameters, uint32_t axes, double dt)
{
    (void)state, (void)parameters, (void)axes, (void)dt;
    return 0;
}

static int low_pass_step(void *state, const double *parameters, const struct mxrc_law_input *input,
                         double *command)
{
    double *filtered = state;
    (void)parameters;
    for (uint32_t i = 0; i < input->axes; i++)
        command[i] = filtered[i] += 0.05 * (input->setpoint[i] - filtered[i]);
    return 0;
}

static void low_pass_reset(void *state, const double *parameters,
                           const struct mxrc_law_input *input)
{
    (void)parameters;
    memcpy(state, input->position, AXES * sizeof(double));
}

/* A spring towards the set-point, in N m. */
static int spring_step(void *state, const double *parameters, const struct mxrc_law_input *input,
                       double *command)
{
    (void)state, (void)parameters;
    for (uint32_t i = 0; i < input->axes; i++)
        command[i] = 400 * (input->setpoint[i] - input->position[i]);
    return 0;
}

static void spring_reset(void *state, const double *parameters, const struct mxrc_law_input *input)
{
    (void)state, (void)parameters, (void)input;
}

static const struct mxrc_law spring = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "spring",
    .command = MXRC_LAW_EFFORT,
    .init = low_pass_init,
    .step = spring_step,
    .reset = spring_reset,
};

/* Under efforts, too, an arm that was stopped, and moved by hand, is not pulled back: it starts from where it is. */
static void test_a_start_after_a_stop_under_efforts(int another_plant)
{
    struct mxrc_image_outputs out;
    struct mxrc_exec *exec = in_motion();
    stop(exec);
    if (another_plant) {
        plant_anew();
        fake.now_ns += 60000 * PERIOD;
    }
    config.law = &spring;
    position[0] = -0.5;
    exec = begun_again();
    int taken = 0;
    for (int i = 0; i < 20; i++) {
        mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
        CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
        if (mxrc_image_read_outputs(&plant, fake.now_ns, &out) != MXRC_IMAGE_TAKEN ||
            out.kind != MXRC_IMAGE_EFFORT)
            continue;
        taken++;
        CHECK_SAY(fabs(out.command[0]) < 1e-6, "pulled with %g N m", out.command[0]);
        CHECK(fabs(exec->axis[0].setpoint + 0.5) < 1e-9);
    }
    CHECK(taken >= 15);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    exec_done(exec);
    mxrc_image_close(&plant);
    config.law = NULL;
}

/* A law of efforts that remembers what it measured: an observer of position and velocity. */
static int observer_step(void *state, const double *parameters, const struct mxrc_law_input *input,
                         double *command)
{
    double *seen = state;
    (void)parameters;
    for (uint32_t i = 0; i < input->axes; i++) {
        double before = seen[i];
        seen[i] += 0.05 * (input->position[i] - seen[i]);
        command[i] = 400 * (input->setpoint[i] - seen[i]) - 40 * (seen[i] - before) / input->dt;
    }
    return 0;
}

static const struct mxrc_law observer = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "observer",
    .command = MXRC_LAW_EFFORT,
    .state_bytes = AXES * sizeof(double),
    .state_version = 1,
    .init = low_pass_init,
    .step = observer_step,
    .reset = low_pass_reset,
};

/* Moved by hand while the thread slept, or while nobody was there: it begins with what is measured now. */
static void test_moved_under_efforts_that_remember(int restart)
{
    config.law = &observer;
    memset(position, 0, sizeof position);
    CHECK_EQUAL(create(&plant), 0);
    exec_segment();
    struct mxrc_exec *exec = begun_again();
    for (int i = 0; i < 120; i++) {
        if (i == 100) {
            position[0] = -0.5;
            fake.now_ns = exec->now.scheduled_ns + 3000000000;
            if (restart) {
                exec_done(exec);
                exec = begun_again();
            }
            skip_events();
        }
        mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
        CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
        CHECK_SAY(fabs(exec->outputs.command[0]) < 1e-6, "pulled with %g N m",
                  exec->outputs.command[0]);
    }
    CHECK_EQUAL(count_events(MXRC_EVENT_LOG, MXRC_EV_AXIS_MOVED), 1);
    exec_done(exec);
    mxrc_image_close(&plant);
    config.law = NULL;
}

/* A plant that starts anew takes nothing that was made from the inputs of the one before, whenever it looks. */
static void start_anew(void *context, uint32_t phase)
{
    (void)context;
    if (phase != MXRC_AT_LAW || position[0] == -0.5)
        return;
    plant_anew();
    position[0] = -0.5;
}

static void test_a_plant_started_anew_takes_no_old_outputs(int written)
{
    struct mxrc_image_outputs out;
    struct mxrc_exec *exec = in_motion();
    exec->at_phase = start_anew;
    CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
    for (int i = 0; i < 30; i++) {
        CHECK(mxrc_image_read_outputs(&plant, fake.now_ns, &out) != MXRC_IMAGE_TAKEN ||
              out.kind == MXRC_IMAGE_SAFE || fabs(out.command[0] + 0.5) < 1e-9);
        if (written || i > 10)
            mxrc_image_write_inputs(&plant, fake.now_ns, position, velocity, NULL);
        CHECK_EQUAL(mxrc_exec_cycle(exec), 0);
    }
    CHECK_EQUAL(rt_status()->safe_cause, MXRC_SAFE_DRIVER);
    exec_done(exec);
    mxrc_image_close(&plant);
}

/* Between a clean start and its first slot. */
static void test_moved_before_the_first_slot(void)
{
    struct mxrc_image_outputs out;
    memset(position, 0, sizeof position);
    CHECK_EQUAL(create(&plant), 0);
    exec_segment();
    struct mxrc_exec *exec = begun_again();
    position[0] = -0.5;
    fake.now_ns += 3000000000;
    CHECK_EQUAL(cycle(exec, &out), 0);
    CHECK_SAY(fabs(position[0] + 0.5) < 1e-9, "sent to %g", position[0]);
    exec_done(exec);
    mxrc_image_close(&plant);
}

static const struct mxrc_law low_pass = {
    .abi = MXRC_LAW_ABI,
    .bytes = sizeof(struct mxrc_law),
    .name = "low_pass",
    .command = MXRC_LAW_POSITION,
    .state_bytes = AXES * sizeof(double),
    .state_version = 1,
    .init = low_pass_init,
    .step = low_pass_step,
    .reset = low_pass_reset,
};

static void test_moved_under_a_law_that_remembers(void)
{
    config.law = &low_pass;
    struct mxrc_exec *exec = in_motion();
    send_event(MXRC_RT_PAUSE);
    run(exec, 500);
    exec_done(exec);
    position[0] = -0.5;
    fake.now_ns += 1500000000;
    exec = begun_again();
    stays(exec, 500, -0.5);
    exec_done(exec);
    mxrc_image_close(&plant);
    config.law = NULL;
}

/* A standby that was there before the plant was started anew knows what the PRIMARY knew. */
static void test_a_standby_does_not_see_it_again(void)
{
    struct mxrc_exec *exec = in_motion();
    struct mxrc_exec *second = exec_made();
    plant_anew();
    run(exec, 20);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    send_event(MXRC_RT_SAFE_MODE_EXIT);
    run(exec, 2);
    send_event(MXRC_RT_RESUME);
    run(exec, 50);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    exec_done(exec);
    CHECK_EQUAL(mxrc_exec_begin(second, error, sizeof error), 0);
    run(second, 50);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    exec_done(second);
    mxrc_image_close(&plant);
}

/* It was stopped, and may have been moved since: a start is one from where the axes are, however soon it comes. */
static void test_a_start_after_a_stop(void)
{
    struct mxrc_exec *exec = in_motion();
    stop(exec);
    position[0] = -0.5;
    exec = begun_again();
    stays(exec, 50, -0.5);
    exec_done(exec);
    mxrc_image_close(&plant);
}

/* It is held up between its look at the clock and its look at the inputs, which are of the time between. */
static void write_meanwhile(void *context, uint32_t phase)
{
    (void)context;
    if (phase == MXRC_AT_WAKE)
        mxrc_image_write_inputs(&plant, mxrc_now_ns(), position, velocity, NULL);
}

static void test_inputs_of_after_the_wake_up(void)
{
    CHECK_EQUAL(create(&plant), 0);
    exec_segment();
    fake.now_ns = mxrc_now_ns() - 1000000000;
    struct mxrc_exec *exec = begun_again();
    run(exec, 20);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    exec->at_phase = write_meanwhile;
    mxrc_exec_cycle(exec);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_RUNNING);
    exec_done(exec);
    mxrc_image_close(&plant);
}

/* A stamp of another clock would never grow old. */
static void test_a_stamp_of_the_future(void)
{
    struct mxrc_exec *exec = in_motion();
    mxrc_image_write_inputs(&plant, fake.now_ns + 1000000000, position, velocity, NULL);
    exec_run(exec, 2);
    CHECK_EQUAL(rt_status()->state, MXRC_STATE_SAFE_MODE);
    exec_done(exec);
    mxrc_image_close(&plant);
}

int main(void)
{
    snprintf(image, sizeof image, "test-%ld", (long)getpid());
    exec_config_default();
    test_life();
    test_layout();
    test_generations();
    test_last_epoch();
    test_watchdog();
    test_executive();
    test_executive_behind_its_check();
    test_stop();
    test_moved_while_nobody_was_there();
    test_moved_in_safe_mode();
    test_another_plant_while_nobody_was_there();
    test_a_standby_does_not_see_it_again();
    test_a_successor_after_a_driver_fault(0);
    test_a_successor_after_a_driver_fault(1);
    test_moved_while_it_slept(0);
    test_moved_while_it_slept(1);
    test_moved_while_it_worked();
    test_moved_under_a_law_that_remembers();
    test_a_start_after_a_stop_under_efforts(0);
    test_a_start_after_a_stop_under_efforts(1);
    test_moved_under_efforts_that_remember(0);
    test_moved_under_efforts_that_remember(1);
    test_a_plant_started_anew_takes_no_old_outputs(0);
    test_a_plant_started_anew_takes_no_old_outputs(1);
    test_moved_before_the_first_slot();
    test_a_start_after_a_stop();
    test_a_stamp_of_the_future();
    test_inputs_of_after_the_wake_up();
    return test_summary();
}
