/* takeover_account.h: what must hold at the end of every run: of the motion, the tasks, the epochs. */
#ifndef MXRC_TAKEOVER_ACCOUNT_H
#define MXRC_TAKEOVER_ACCOUNT_H

#include "takeover.h"

/* Each commit against the one before: a slot without one is a slot in which the arm holds, and motion goes on from there as if it had
 * not been. What a PRIMARY committed and did not live to write down its successor commits once more, and so does the one after it,
 * should that one die as early: the arm stands from the first of these. A cycle that wakes up more than 10 ms after that of the last
 * commit that was written down, which is one that the same process went on from, finds the arm stopped: motion goes on from rest, from
 * where it stands. */
static int quiet_motion; /* kinks are what is looked for */

static void look_at_motion(uint32_t *jumps, uint32_t *kinks, uint32_t *rests)
{
    const struct commit *before = NULL;
    uint64_t count = plant->commits < JOURNAL ? plant->commits : JOURNAL, written_ns = 0;
    double velocity = 0, step = ACCELERATION_MAX * 1e-3 * (1 + 1e-3);
    *jumps = *kinks = *rests = 0;
    for (uint64_t i = 0; i < count; i++) {
        const struct commit *b = &plant->journal[i], *a = before;
        if (b->fate != COMMIT_MADE)
            continue;
        before = b;
        if (!a) {
            written_ns = b->wake_ns;
            continue;
        }
        double now = (b->command - a->command) / 1e-3;
        int again = a->epoch != b->epoch && now == 0;
        if (!again)
            written_ns = a->wake_ns;
        *jumps += fabs(now) > VELOCITY_MAX * (1 + 1e-5);
        if (b->wake_ns - written_ns > 10000000) {
            *rests += fabs(velocity) > step;
            velocity = 0;
        }
        if (again)
            continue;
        if (fabs(now - velocity) > step) {
            if (!quiet_motion)
                printf("kink: cycles %" PRIu64 " %" PRIu64 ", %" PRIu64
                       " us after what was written down, epochs %u %u, command %.9g -> %.9g, "
                       "velocity before %.6g\n",
                       a->cycle, b->cycle, (b->wake_ns - written_ns) / 1000, (unsigned)a->epoch,
                       (unsigned)b->epoch, a->command, b->command, velocity);
            ++*kinks;
        }
        velocity = now;
    }
}

static void check_continuous(void)
{
    uint32_t jumps, kinks, rests;
    look_at_motion(&jumps, &kinks, &rests);
    CHECK_EQUAL(jumps, 0);
    CHECK_EQUAL(kinks, 0);
    CHECK(plant->commits > 100);
}

/* How often the committed commands went up to the target and back: each task does it once. */
static uint32_t moves_made(void)
{
    uint64_t count = plant->commits < JOURNAL ? plant->commits : JOURNAL;
    uint32_t peaks = 0;
    int up = 0;
    for (uint64_t i = 0; i < count; i++) {
        const struct commit *commit = &plant->journal[i];
        if (commit->fate != COMMIT_MADE)
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
    CHECK_EQUAL(plant->backwards, 0);
    CHECK_SAY(moves_made() == sent, "%s: %u tasks moved the arm %u times", what, (unsigned)sent,
              moves_made());
    CHECK(plant->applied > 0);
    CHECK_EQUAL(ended_badly, 0);
    check_continuous();
}

#endif
