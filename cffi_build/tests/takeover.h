/* takeover.h: a generation with RT processes and a plant, the Non-RT side that feeds them tasks, and what is done to them. */
#ifndef MXRC_TAKEOVER_H
#define MXRC_TAKEOVER_H

#include "takeover_processes.h"

/* ---- the Non-RT side ---- */

static pid_t rt_pids[PROCESSES];
static pid_t plant_pid;
static uint64_t lane_cursors[PROCESSES], dice;
static uint64_t sent, completed, completions_told, failures;
static uint64_t last_cycle, last_epoch, cycle_disorder, tombstones, outage_max;
static int feeding, ended_stale, ended_badly, respawn;

static const struct mxrc_lease *lease_of(void)
{
    return mxrc_region(&nonrt, MXRC_REGION_LEASE, NULL);
}

static const struct mxrc_member *member_of(int member)
{
    return mxrc_region(&nonrt, MXRC_REGION_MEMBER + (uint32_t)member, NULL);
}

static pid_t spawn(int (*body)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int status = body();
        _exit(status);
    }
    return pid;
}

static void feed(void)
{
    if (!feeding || sent != completed)
        return;
    fake.now_ns = mxrc_now_ns();
    send_start(1 + sent, (uint32_t)(sent % 2));
    sent++;
}

static void read_lanes(void)
{
    struct mxrc_event event;
    struct mxrc_ring ring;
    uint64_t lost = 0;
    for (uint32_t i = 0; i < PROCESSES; i++) {
        mxrc_ring_open(&ring, &nonrt, MXRC_REGION_LANE + 2 * i);
        while (mxrc_ring_read(&ring, &lane_cursors[i], &event, 1, &lost) == 1) {
            if (event.kind != MXRC_EVENT_TASK)
                continue;
            if (event.code == MXRC_TASK_COMPLETED) {
                completions_told++;
                if (event.execution_id == completed + 1)
                    completed++;
            } else if (event.code >= MXRC_TASK_FAILED) {
                failures++;
            }
        }
    }
}

static void read_cycles(void)
{
    struct mxrc_cycle_record record;
    uint64_t lost = 0;
    while (mxrc_ring_read(&cycles, &cycle_cursor, &record, 1, &lost) == 1) {
        if (record.flags & MXRC_CYCLE_TOMBSTONE) {
            tombstones++;
            continue;
        }
        /* One PRIMARY at a time: slots and epochs only go up. */
        if ((last_epoch && record.cycle <= last_cycle) || record.epoch < last_epoch)
            cycle_disorder++;
        if (record.epoch != last_epoch && last_epoch && record.cycle - last_cycle - 1 > outage_max)
            outage_max = record.cycle - last_cycle - 1;
        last_cycle = record.cycle;
        last_epoch = record.epoch;
    }
}

static void reap(void)
{
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        if (rt_pids[i] == 0 || waitpid(rt_pids[i], &status, WNOHANG) != rt_pids[i])
            continue;
        if (WIFEXITED(status)) {
            ended_stale += WEXITSTATUS(status) == 5;
            ended_badly += WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 5;
        }
        rt_pids[i] = respawn ? spawn(rt_main) : 0;
    }
}

static void tend(void)
{
    rest(500000);
    read_lanes();
    read_cycles();
    reap();
    feed();
}

/* Tends until `done` says so; 0 after `seconds`. */
static int tend_until(int (*done)(void), double seconds)
{
    uint64_t until = mxrc_now_ns() + (uint64_t)(seconds * 1e9);
    while (!done()) {
        if (mxrc_now_ns() > until)
            return 0;
        tend();
    }
    return 1;
}

static void tend_for(uint64_t ns)
{
    uint64_t until = mxrc_now_ns() + ns;
    while (mxrc_now_ns() < until)
        tend();
}

/* The member that runs as PRIMARY, -1: none. */
static int primary_now(void)
{
    uint64_t owner = mxrc_load_acquire(&lease_of()->owner);
    int member = (int)(owner & 0xffff) - 1;
    if (member < 0 || mxrc_load_acquire32(&member_of(member)->role) != MXRC_ROLE_PRIMARY ||
        mxrc_load_relaxed(&rt_status()->epoch) != owner >> 16)
        return -1;
    uint32_t pid = mxrc_load_acquire32(&member_of(member)->pid);
    for (int i = 0; i < PROCESSES; i++)
        if (rt_pids[i] == (pid_t)pid)
            return member;
    return -1;
}

static uint64_t wanted_epoch;

/* A PRIMARY of at least the wanted epoch that has run some cycles, and a warm standby. */
static int settled(void)
{
    int member = primary_now();
    if (member < 0 || mxrc_load_relaxed(&rt_status()->epoch) < wanted_epoch ||
        last_epoch != mxrc_load_relaxed(&rt_status()->epoch))
        return 0;
    for (int i = 0; i < PROCESSES; i++)
        if (mxrc_load_acquire32(&member_of(i)->role) == MXRC_ROLE_STANDBY &&
            mxrc_now_ns() < mxrc_load_acquire(&member_of(i)->heartbeat_ns) + 100000000)
            return 1;
    return 0;
}

/* The same without a standby. */
UNUSED static int running(void)
{
    return primary_now() >= 0 && mxrc_load_relaxed(&rt_status()->epoch) >= wanted_epoch &&
           last_epoch == mxrc_load_relaxed(&rt_status()->epoch);
}

UNUSED static int all_done(void)
{
    return completed == sent;
}

UNUSED static int nobody(void)
{
    int left = 0;
    for (int i = 0; i < PROCESSES; i++)
        left += rt_pids[i] != 0;
    return left == 0;
}

static void task_program(void)
{
    program_begin();
    program_move(0, AMPLITUDE, 0);
    program_move(0, 0, 0);
    program_end();
}

/* A generation with `count` RT processes and the plant. */
static void arena_begin(int count, int forgetful)
{
    static int started;
    int created;
    if (!started)
        fixture_start();
    started = 1;
    exec_config_default();
    config.standby = 1;
    config.driver = MXRC_DRIVER_PROCESS_IMAGE;
    snprintf(config.image_name, sizeof config.image_name, "mxrc-test-%ld", (long)fixture_pid);
    config.image_timeout_ns = PATIENCE_NS;
    config.stall_timeout_ns = STALL_NS;
    config.axis[0].velocity_max = VELOCITY_MAX;
    config.axis[0].acceleration_max = ACCELERATION_MAX;
    config.axis[0].home = 0;
    arena_geometry = fixture_geometry();
    arena_geometry.cycle_slots = 4096;
    arena_geometry.event_slots = 4096;
    arena_geometry.max_members = PROCESSES;
    if (mxrc_segment_open_rt(&rt, fixture_name, fixture_lock, &arena_geometry, &created, error,
                             sizeof error) ||
        mxrc_segment_publish(&rt) ||
        mxrc_segment_attach(&nonrt, fixture_name, MXRC_ACCESS_NONRT, error, sizeof error)) {
        printf("no segment: %s\n", error);
        exit(EXIT_FAILURE);
    }
    mxrc_segment_detach(&rt);
    admitted_epoch = &lease_of()->admitted_epoch;
    mxrc_ring_open(&cycles, &nonrt, MXRC_REGION_CYCLE_RING);
    plant = fixture_shared(sizeof *plant);
    plant->forgetful = (uint32_t)forgetful;
    snprintf(image_name, sizeof image_name, "%s", fixture_name + 1);
    /* Time enough for a plant on a starved machine: its own silence is not what is tested. */
    if (mxrc_image_create(&plant_image, image_name, AXES, PATIENCE_NS, error, sizeof error)) {
        printf("no process image: %s\n", error);
        exit(EXIT_FAILURE);
    }
    mxrc_image_write_inputs(&plant_image, mxrc_now_ns(), still, still, NULL);
    memset(lane_cursors, 0, sizeof lane_cursors);
    cycle_cursor = last_cycle = last_epoch = sent = completed = completions_told = 0;
    failures = cycle_disorder = tombstones = outage_max = 0;
    ended_stale = ended_badly = 0;
    respawn = 1;
    feeding = 1;
    task_program();
    plant_pid = spawn(plant_main);
    for (int i = 0; i < count; i++)
        rt_pids[i] = spawn(rt_main);
    wanted_epoch = 1;
}

static void arena_kill(void)
{
    respawn = 0;
    for (int i = 0; i < PROCESSES; i++)
        if (rt_pids[i]) {
            kill(rt_pids[i], SIGKILL);
            waitpid(rt_pids[i], NULL, 0);
            rt_pids[i] = 0;
        }
    mxrc_store_release32(&plant->end, 1);
    waitpid(plant_pid, NULL, 0);
    mxrc_image_close(&plant_image);
    mxrc_segment_detach(&nonrt);
    shm_unlink(fixture_name);
    munmap(plant, sizeof *plant);
}

/* ---- steps of the tests ---- */

static uint64_t epoch_now(void)
{
    return mxrc_load_relaxed(&rt_status()->epoch);
}

static int settle(const char *what)
{
    if (tend_until(settled, 20))
        return 1;
    CHECK_SAY(0, "%s: no PRIMARY with a standby (epoch %u wanted, owner %" PRIx64 ", last %u)",
              what, (unsigned)wanted_epoch, mxrc_load_acquire(&lease_of()->owner),
              (unsigned)last_epoch);
    return 0;
}

UNUSED static pid_t primary_pid(void)
{
    int member = primary_now();
    return member < 0 ? 0 : (pid_t)mxrc_load_acquire32(&member_of(member)->pid);
}

static int stopped(void)
{
    return mxrc_load_acquire(&plant->last_stopped) != 0;
}

static int fenced(void)
{
    return mxrc_load_acquire(admitted_epoch) >= wanted_epoch;
}

/* A PRIMARY stops itself in a commit, is fenced off but not killed, and continued after that. Returns whether it came to it. */
static int stall_and_continue(uint32_t place)
{
    int member = primary_now();
    if (member < 0)
        return 0;
    wanted_epoch = epoch_now() + 1;
    struct orders *orders = &plant->orders[member];
    orders->stop_in = (uint32_t)(test_random(&dice) % 40);
    mxrc_store_release32(&orders->stop_at, place);
    if (!tend_until(stopped, 5))
        return 0;
    pid_t pid = (pid_t)mxrc_load_acquire(&plant->last_stopped);
    CHECK(tend_until(fenced, 10));
    tend_for(test_random(&dice) % 40000000); /* in some the standby has given up waiting */
    mxrc_store_release(&plant->last_stopped, 0);
    kill(pid, SIGCONT);
    return 1;
}

#endif
