/* takeover_processes.h: RT processes of one generation, and a plant that stands apart from them.
 *
 * The plant is a process of its own behind a process image, the RT processes drive it through the driver of that kind. Its
 * sources are compiled in here a second time, with hooks that stop a process inside a commit.
 * Wrong variants: MXRC_WRONG_CHECK_THEN_ACT of process_image_rt.c, and struct plant's `forgetful`. */
#ifndef MXRC_TAKEOVER_PROCESSES_H
#define MXRC_TAKEOVER_PROCESSES_H

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "exec_fixture.h"

enum stop_at { STOP_NONE = 0, STOP_BEFORE_BUFFER, STOP_IN_BUFFER };

static void maybe_stop(enum stop_at place);

enum image_place {
    MXRC_IMAGE_ADMITTING,
    MXRC_IMAGE_CHECKED,
    MXRC_IMAGE_HALF,
    MXRC_IMAGE_FILLED,
    MXRC_IMAGE_READING
};

#define MXRC_IMAGE_HOOK(place)                                                                     \
    maybe_stop((place) == MXRC_IMAGE_CHECKED ? STOP_BEFORE_BUFFER                                  \
               : (place) == MXRC_IMAGE_HALF  ? STOP_IN_BUFFER                                      \
                                             : STOP_NONE)
#define mxrc_image_admit hooked_admit
#define mxrc_image_commit hooked_commit
#define mxrc_image_read_inputs hooked_read_inputs
#define mxrc_image_read_committed hooked_read_committed
#define mxrc_driver_process_image hooked_process_image
/* In this order: the functions are declared nowhere but by what comes first. */
/* clang-format off */
#include "../src/process_image_rt.c"
#include "../src/driver_process_image.c"
/* clang-format on */

#define PROCESSES 3
#define MARKED 5 /* the axis whose command tells a stale output; in the second half of a buffer */
#define AMPLITUDE 0.02
#define VELOCITY_MAX 2.0
#define ACCELERATION_MAX 40.0
#define POISON 99.0 /* what a process commits that was continued after it had lost the lease */
#define STALL_NS 60000000ull
#define PATIENCE_NS 60000000000ull
#define JOURNAL (1u << 19)

/* What a process is to do to itself when it is PRIMARY. */
struct orders {
    uint32_t
        die_phase;   /* enum mxrc_phase; MXRC_PHASES: none, MXRC_PHASES + 1: inside a ring record */
    uint32_t die_in; /* cycles (or take-overs) until then */
    uint32_t stop_at; /* enum stop_at */
    uint32_t stop_in;
};

/* Entered before it is made. Who dies in between leaves it open, and the successor sees in the image what became of it. */
enum commit_fate { COMMIT_OPEN = 0, COMMIT_MADE, COMMIT_REFUSED };

struct commit {
    uint64_t epoch;
    uint64_t cycle;
    uint64_t wake_ns; /* of that cycle */
    double command;
    uint32_t fate;
    uint32_t reserved;
};

struct plant {
    uint32_t forgetful; /* wrong variant: the successor does not ask what was committed last */
    uint32_t spare;     /* take-overs do not kill */
    uint32_t end;
    uint32_t firstborn; /* so many of those that begin next die after their first commit */
    uint64_t birth_ns;  /* how long those that begin wait before anything else */
    uint32_t poisoned;  /* times that a stale output reached the device */
    uint32_t backwards; /* an epoch after a newer one */
    uint64_t applied;
    uint64_t safe_calls;
    uint64_t commits;
    struct commit journal[JOURNAL]; /* every commit, in order */
    struct orders orders[MXRC_MEMBERS];
    uint64_t last_stopped;          /* pid */
    uint32_t died[MXRC_PHASES + 2]; /* deaths that were ordered, by die_phase */
};

static struct plant *plant;
static struct mxrc_image plant_image;
static char image_name[48];
static const uint64_t *admitted_epoch;
static struct mxrc_geometry arena_geometry;

static void rest(uint64_t ns)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/* ---- in an RT process ---- */

static struct mxrc_exec *own_exec;
static struct mxrc_segment own_segment;
static int own_stopped; /* was stopped in a commit: what follows is stale */

static struct orders *own_orders(void)
{
    return &plant->orders[own_segment.member];
}

static int ordered_to_stop(void)
{
    const struct orders *orders = own_orders();
    return mxrc_load_relaxed32(&orders->stop_at) != STOP_NONE && orders->stop_in == 0;
}

static void maybe_stop(enum stop_at place)
{
    struct orders *orders = own_orders();
    if (place == STOP_NONE || mxrc_load_relaxed32(&orders->stop_at) != (uint32_t)place)
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
}

/* What became of the commits that their writers did not live to see through. Only the one before the last can be open: each
 * PRIMARY settles them before its first. */
static void settle_journal(uint64_t place)
{
    const struct mxrc_process_image *shared = plant_image.shared;
    uint64_t word = mxrc_load_acquire(&shared->fence.commit);
    const struct mxrc_image_outputs *last = &shared->output[mxrc_image_last_buffer(word)];
    for (uint64_t i = place > 64 ? place - 64 : 0; i < place; i++) {
        struct commit *commit = &plant->journal[i];
        if (mxrc_load_acquire32(&commit->fate) != COMMIT_OPEN)
            continue;
        int made = mxrc_load_relaxed(&last->cycle) == commit->cycle &&
                   mxrc_image_epoch(mxrc_load_relaxed(&last->head)) == commit->epoch;
        mxrc_store_release32(&commit->fate, made ? COMMIT_MADE : COMMIT_REFUSED);
    }
}

static uint64_t own_wake_ns;

static int plant_read(void *instance, void *state, uint64_t time_ns,
                      struct mxrc_driver_inputs *inputs)
{
    own_wake_ns = time_ns;
    return hooked_process_image.read(instance, state, time_ns, inputs);
}

static int plant_commit(void *instance, void *state, uint64_t epoch, uint64_t cycle,
                        const struct mxrc_driver_outputs *outputs)
{
    static uint64_t own_epoch;
    struct mxrc_driver_outputs marked = *outputs;
    if (own_stopped || ordered_to_stop())
        marked.command[MARKED] = POISON;
    /* Who is fenced off already enters nothing: the journal is in the order of the commits. */
    if (mxrc_load_acquire(admitted_epoch) != epoch)
        return hooked_process_image.commit(instance, state, epoch, cycle, &marked);
    uint64_t place = mxrc_add_u64(&plant->commits, 1);
    if (own_epoch != epoch)
        settle_journal(place < JOURNAL ? place : JOURNAL);
    own_epoch = epoch;
    if (place < JOURNAL)
        plant->journal[place] = (struct commit){
            .epoch = epoch, .cycle = cycle, .wake_ns = own_wake_ns, .command = outputs->command[0]};
    int result = hooked_process_image.commit(instance, state, epoch, cycle, &marked);
    if (own_stopped)
        rest(1000000); /* the plant looks before the successor acts */
    if (place < JOURNAL)
        mxrc_store_release32(&plant->journal[place].fate, result ? COMMIT_REFUSED : COMMIT_MADE);
    return result;
}

static int plant_safe(void *instance, void *state, uint64_t epoch)
{
    mxrc_add_u64(&plant->safe_calls, 1);
    return hooked_process_image.safe(instance, state, epoch);
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
    mxrc_store_release32(&plant->died[die], mxrc_load_relaxed32(&plant->died[die]) + 1);
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
    rest(plant->birth_ns);
    if (mxrc_segment_open_rt(&own_segment, fixture_name, fixture_lock, &arena_geometry, &created,
                             error, sizeof error) ||
        created) {
        printf("RT process: %s\n", error);
        fflush(stdout);
        return 2;
    }
    *own_orders() = (struct orders){.die_phase = MXRC_PHASES};
    if (plant->firstborn > 0) {
        plant->firstborn--;
        own_orders()->die_phase = MXRC_AT_COMMITTED;
    }
    admitted_epoch =
        &((struct mxrc_lease *)mxrc_region(&own_segment, MXRC_REGION_LEASE, NULL))->admitted_epoch;
    for (;;) {
        own_exec = mxrc_exec_new(&own_segment, &config, error, sizeof error);
        if (!own_exec)
            return 3;
        plant_driver = hooked_process_image;
        plant_driver.read = plant_read;
        plant_driver.commit = plant_commit;
        plant_driver.safe = plant_safe;
        if (plant->forgetful)
            plant_driver.committed = NULL;
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

static const double still[AXES];

static void plant_apply(const struct mxrc_image_outputs *outputs, uint64_t *epoch)
{
    uint64_t made_under = mxrc_image_epoch(outputs->head);
    if (made_under < *epoch)
        mxrc_store_relaxed32(&plant->backwards, plant->backwards + 1);
    *epoch = made_under;
    if (outputs->command[MARKED] == POISON)
        mxrc_store_release32(&plant->poisoned, plant->poisoned + 1);
    else
        mxrc_store_release(&plant->applied, plant->applied + 1);
}

static int plant_main(void)
{
    uint64_t epoch = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!mxrc_load_acquire32(&plant->end)) {
        struct mxrc_image_outputs outputs;
        rest(150000);
        uint64_t now = mxrc_now_ns();
        int take = mxrc_image_read_outputs(&plant_image, now, &outputs);
        mxrc_image_write_inputs(&plant_image, now, outputs.command, still, NULL);
        if (take == MXRC_IMAGE_TAKEN)
            plant_apply(&outputs, &epoch);
    }
    return 0;
}

#endif
