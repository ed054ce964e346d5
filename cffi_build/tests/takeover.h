/* takeover.h: RT processes of one generation, a plant that stands apart from them, and a Non-RT side that feeds tasks and
 * checks what came of it.
 *
 * The plant is a process of its own. Each RT process fills a buffer that only it writes; the commit is one compare-and-swap on a
 * word (epoch, buffer, sequence). The plant copies the buffer, looks at the word again and at the admitted epoch, and
 * only then moves. */
#ifndef MXRC_TAKEOVER_H
#define MXRC_TAKEOVER_H

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "exec_fixture.h"

#define PROCESSES 3
#define AMPLITUDE 0.02
#define VELOCITY_MAX 2.0
#define ACCELERATION_MAX 40.0
#define POISON 99.0 /* what a process commits that was continued after it had lost the lease */
#define STALL_NS 60000000ull
#define JOURNAL (1u << 19)

enum stop_at { STOP_NONE = 0, STOP_BEFORE_BUFFER, STOP_IN_BUFFER };

/* What a process is to do to itself when it is PRIMARY. */
struct orders {
    uint32_t
        die_phase;   /* enum mxrc_phase; MXRC_PHASES: none, MXRC_PHASES + 1: inside a ring record */
    uint32_t die_in; /* cycles (or take-overs) until then */
    uint32_t stop_at; /* enum stop_at */
    uint32_t stop_in;
};

struct commit {
    uint64_t epoch;
    uint64_t cycle;
    double command;
};

struct plant {
    uint64_t word; /* epoch << 40 | buffer << 32 | sequence */
    struct commit buffer[2 * MXRC_MEMBERS];
    uint32_t no_fence; /* wrong variant */
    uint32_t spare;    /* take-overs do not kill */
    uint32_t end;
    uint32_t poisoned; /* times that a stale output reached the device */
    uint32_t torn;
    uint32_t backwards; /* an epoch after a newer one */
    uint64_t applied;
    uint64_t safe_calls;
    uint64_t commits;
    struct commit journal[JOURNAL]; /* every commit, in order */
    struct orders orders[MXRC_MEMBERS];
    uint64_t last_stopped; /* pid */
};

static struct plant *plant;
static const uint64_t *admitted_epoch;
static struct mxrc_geometry arena_geometry;

static void rest(uint64_t ns)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/* ---- in an RT process ---- */

static struct mxrc_exec *own_exec;
static struct mxrc_segment own_segment;
static const struct mxrc_driver *simulated;
static int own_stopped; /* was stopped in a commit: what follows is stale */

static struct orders *own_orders(void)
{
    return &plant->orders[own_segment.member];
}

static void maybe_stop(uint32_t place, double *command)
{
    struct orders *orders = own_orders();
    if (mxrc_load_relaxed32(&orders->stop_at) != place)
        return;
    if (orders->stop_in > 0) {
        orders->stop_in--;
        return;
    }
    mxrc_store_relaxed32(&orders->stop_at, STOP_NONE);
    mxrc_store_release(&plant->last_stopped, (uint64_t)getpid());
    kill(getpid(), SIGSTOP);
    /* Every thread stops with the process, this one at its next return from the kernel. */
    while (mxrc_load_acquire(&plant->last_stopped) != 0)
        rest(100000);
    own_stopped = 1;
    *command = POISON;
}

static int plant_read(void *instance, void *state, uint64_t time_ns,
                      struct mxrc_driver_inputs *inputs)
{
    (void)instance, (void)state, (void)time_ns;
    memset(inputs, 0, sizeof *inputs);
    return 0;
}

static int plant_commit(void *instance, void *state, uint64_t epoch, uint64_t cycle,
                        const struct mxrc_driver_outputs *outputs)
{
    (void)instance, (void)state;
    double command = outputs->command[0];
    if (!plant->no_fence && mxrc_load_acquire(admitted_epoch) != epoch)
        return ESTALE;
    uint64_t word = mxrc_load_acquire(&plant->word);
    if (own_stopped)
        command = POISON;
    maybe_stop(STOP_BEFORE_BUFFER, &command);
    uint64_t own = 2 * (uint64_t)own_segment.member;
    uint64_t index = (word >> 32 & 0xff) == own ? own + 1 : own;
    struct commit *buffer = &plant->buffer[index];
    mxrc_store_relaxed(&buffer->epoch, epoch);
    maybe_stop(STOP_IN_BUFFER, &command);
    mxrc_store_relaxed(&buffer->cycle, cycle);
    uint64_t bits;
    memcpy(&bits, &command, sizeof bits);
    mxrc_store_relaxed((uint64_t *)(void *)&buffer->command, bits);
    uint64_t next = epoch << 40 | index << 32 | ((word + 1) & 0xffffffff);
    if (plant->no_fence)
        mxrc_store_release(&plant->word, next);
    else if (word >> 40 > epoch || !mxrc_cas_u64(&plant->word, word, next))
        return ESTALE;
    /* Sequentially: the commit counts unless the fence was raised before it. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!plant->no_fence && mxrc_load_acquire(admitted_epoch) != epoch)
        return ESTALE;
    uint64_t place = mxrc_add_u64(&plant->commits, 1);
    if (place < JOURNAL)
        plant->journal[place] = (struct commit){epoch, cycle, command};
    return 0;
}

static int plant_safe(void *instance, void *state, uint64_t epoch)
{
    (void)instance, (void)state, (void)epoch;
    mxrc_add_u64(&plant->safe_calls, 1);
    return 0;
}

static void plant_admit(void *instance, uint64_t epoch)
{
    (void)instance, (void)epoch; /* the plant looks at the word of the lease */
}

static void plant_close(void *instance)
{
    simulated->close(instance);
}

static struct mxrc_driver plant_driver;

/* Dies as a writer does that is killed inside a record of the cycle ring. */
static void die_in_record(void)
{
    const struct mxrc_ring *ring = &own_exec->at.cycles;
    uint64_t head = ring->header->head;
    uint64_t *slot = (uint64_t *)(void *)(ring->slots + (head & ring->mask) * ring->slot_bytes);
    mxrc_store_relaxed(slot, 2 * head + 1);
    mxrc_fence_release();
    for (int i = 1; i < 16; i++)
        mxrc_store_relaxed(slot + i, 0xdeadbeef);
    kill(getpid(), SIGKILL);
}

static void at_phase(void *context, uint32_t phase)
{
    (void)context;
    struct orders *orders = own_orders();
    uint32_t die = mxrc_load_relaxed32(&orders->die_phase);
    if (phase == MXRC_AT_JUDGED)
        own_exec->spare_old = mxrc_load_relaxed32(&plant->spare);
    int record = die == MXRC_PHASES + 1 && phase == MXRC_AT_STATUS;
    if (phase != die && !record)
        return;
    if (orders->die_in > 0) {
        orders->die_in--;
        return;
    }
    mxrc_store_relaxed32(&orders->die_phase, MXRC_PHASES);
    if (record)
        die_in_record();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static int rt_main(void)
{
    int created;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mxrc_segment_open_rt(&own_segment, fixture_name, fixture_lock, &arena_geometry, &created,
                             error, sizeof error) ||
        created) {
        printf("RT process: %s\n", error);
        fflush(stdout);
        return 2;
    }
    *own_orders() = (struct orders){.die_phase = MXRC_PHASES};
    admitted_epoch =
        &((struct mxrc_lease *)mxrc_region(&own_segment, MXRC_REGION_LEASE, NULL))->admitted_epoch;
    for (;;) {
        own_exec = mxrc_exec_new(&own_segment, &config, error, sizeof error);
        if (!own_exec)
            return 3;
        simulated = own_exec->driver;
        plant_driver = *simulated;
        plant_driver.state_bytes = 0;
        plant_driver.read = plant_read;
        plant_driver.commit = plant_commit;
        plant_driver.safe = plant_safe;
        plant_driver.admit = plant_admit;
        plant_driver.close = plant_close;
        own_exec->driver = &plant_driver;
        own_exec->at_phase = at_phase;
        if (mxrc_exec_start(own_exec, error, sizeof error)) {
            printf("RT process: %s\n", error);
            fflush(stdout);
            return 4;
        }
        mxrc_exec_join(own_exec, -1);
        int result = mxrc_exec_result(own_exec);
        mxrc_exec_free(own_exec);
        if (result != EAGAIN) {
            mxrc_segment_detach(&own_segment);
            return result == 0 ? 0 : result == ESTALE ? 5 : 6;
        }
    }
}

/* ---- the plant ---- */

static void plant_apply(const struct commit *commit, uint64_t *epoch)
{
    if (commit->epoch < *epoch)
        mxrc_store_relaxed32(&plant->backwards, plant->backwards + 1);
    *epoch = commit->epoch;
    if (commit->command == POISON) {
        mxrc_store_release32(&plant->poisoned, plant->poisoned + 1);
        return;
    }
    mxrc_store_release(&plant->applied, plant->applied + 1);
}

static int plant_main(void)
{
    uint64_t seen = 0, epoch = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!mxrc_load_acquire32(&plant->end)) {
        rest(150000);
        uint64_t word = mxrc_load_acquire(&plant->word);
        if (word == seen)
            continue;
        struct commit commit;
        mxrc_copy_out(&commit, &plant->buffer[word >> 32 & 0xff], sizeof commit);
        mxrc_fence_acquire();
        int admitted = plant->no_fence || mxrc_load_acquire(admitted_epoch) == word >> 40;
        if (mxrc_load_acquire(&plant->word) != word || !admitted)
            continue;
        if (commit.epoch != word >> 40)
            mxrc_store_relaxed32(&plant->torn, plant->torn + 1);
        seen = word;
        plant_apply(&commit, &epoch);
    }
    return 0;
}

/* ---- the Non-RT side ---- */

static pid_t rt_pids[PROCESSES];
static pid_t plant_pid;
static uint64_t lane_cursors[PROCESSES], dice;
static uint64_t sent, completed, completions_told, failures;
static uint64_t last_cycle, last_epoch, cycle_disorder, tombstones, outage_max;
static uint64_t last_number;
static uint32_t steps_back, sent_again;
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
    last_number = send_start(1 + sent, (uint32_t)(sent % 2));
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
            /* The end of the task before was told, and then undone with its cycle: the axis is still its own. */
            if (event.kind == MXRC_EVENT_REPLY && event.reply_to == last_number && sent &&
                event.code == MXRC_ERR_AXIS_BUSY) {
                fake.now_ns = mxrc_now_ns();
                last_number = send_start(sent, (uint32_t)((sent - 1) % 2));
                sent_again++;
            }
            if (event.kind != MXRC_EVENT_TASK)
                continue;
            if (event.code == MXRC_TASK_COMPLETED) {
                completions_told++;
                if (event.execution_id == completed + 1)
                    completed++;
            } else if (event.code >= MXRC_TASK_FAILED && event.error_code != MXRC_ERR_AXIS_BUSY)
                failures++;
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

static int all_done(void)
{
    return completed == sent;
}

static int nobody(void)
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
static void arena_begin(int count, int no_fence)
{
    static int started;
    int created;
    if (!started)
        fixture_start();
    started = 1;
    exec_config_default();
    config.standby = 1;
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
    plant->no_fence = (uint32_t)no_fence;
    memset(lane_cursors, 0, sizeof lane_cursors);
    cycle_cursor = last_cycle = last_epoch = sent = completed = completions_told = 0;
    steps_back = sent_again = 0;
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
    mxrc_segment_detach(&nonrt);
    shm_unlink(fixture_name);
    munmap(plant, sizeof *plant);
}

/* Each commit against the one before: a slot without one is a slot in which the arm holds, and motion goes on from there as if it had
 * not been. What a PRIMARY committed and did not live to write down its successor commits once more. After more than 10 ms
 * the arm has stopped: motion goes on from rest. */
static void check_continuous(void)
{
    uint64_t count = plant->commits < JOURNAL ? plant->commits : JOURNAL;
    uint32_t jumps = 0, kinks = 0;
    double velocity = 0;
    for (uint64_t i = 1; i < count; i++) {
        const struct commit *a = &plant->journal[i - 1], *b = &plant->journal[i];
        double now = (b->command - a->command) / 1e-3;
        if (a->epoch == 0 || b->epoch == 0) {
            velocity = NAN; /* its writer died between counting and writing */
            continue;
        }
        /* The successor did not see the last commit written down: it holds the place before, and counts the
         * gap from there. */
        int unseen =
            i > 1 && b->command == plant->journal[i - 2].command && b->command != a->command;
        if (b->cycle - a->cycle + (uint64_t)unseen > 10) {
            velocity = 0;
            if (unseen) {
                steps_back++;
                continue;
            }
        }
        if (a->epoch != b->epoch && b->command == a->command)
            continue;
        jumps += fabs(now) > VELOCITY_MAX * (1 + 1e-5);
        if (fabs(now - velocity) > ACCELERATION_MAX * 1e-3 * (1 + 1e-3)) {
            kinks++;
            printf("kink: cycles %" PRIu64 " %" PRIu64
                   ", epochs %u %u, command %.9g -> %.9g -> %.9g\n",
                   a->cycle, b->cycle, (unsigned)a->epoch, (unsigned)b->epoch,
                   i > 1 ? plant->journal[i - 2].command : 0.0, a->command, b->command);
        }
        velocity = now;
    }
    CHECK_EQUAL(jumps, 0);
    CHECK_EQUAL(kinks, 0);
    CHECK(count > 100);
}

/* How often the committed commands went up to the target and back: each task does it once. */
static uint32_t moves_made(void)
{
    uint64_t count = plant->commits < JOURNAL ? plant->commits : JOURNAL;
    uint32_t peaks = 0;
    int up = 0;
    for (uint64_t i = 0; i < count; i++) {
        const struct commit *commit = &plant->journal[i];
        if (commit->epoch == 0)
            continue;
        peaks += !up && commit->command > 0.9 * AMPLITUDE;
        up = commit->command > (up ? 0.1 : 0.9) * AMPLITUDE;
    }
    return peaks;
}

/* What must hold at the end of every run. */
static void check_account(const char *what)
{
    feeding = 0;
    CHECK_SAY(tend_until(all_done, 20), "%s: task %u of %u is lost", what, (unsigned)completed + 1,
              (unsigned)sent);
    tend_for(20000000);
    CHECK_EQUAL(failures, 0);
    CHECK_EQUAL(cycle_disorder, 0);
    CHECK_EQUAL(plant->poisoned, 0);
    CHECK_EQUAL(plant->torn, 0);
    CHECK_EQUAL(plant->backwards, 0);
    CHECK_SAY(moves_made() == sent, "%s: %u tasks moved the arm %u times", what, (unsigned)sent,
              moves_made());
    CHECK(plant->applied > 0);
    CHECK_EQUAL(ended_badly, 0);
    check_continuous();
    if (steps_back || sent_again)
        printf("%s: %u times the successor held the command before the last one, %u starts came "
               "before the end of the task before was final\n",
               what, steps_back, sent_again);
}

#endif
