/* takeover_account.h: what must hold at the end of every run: of the motion, the tasks, the epochs. */
#ifndef MXRC_TAKEOVER_ACCOUNT_H
#define MXRC_TAKEOVER_ACCOUNT_H

#include "takeover.h"

/* Each commit against the one before: a slot without one is a slot in which the arm holds, and motion goes on from there as if it had
 * not been. What a PRIMARY committed and did not live to write down its successor commits once more. After about 10 ms without a
 * commit the arm has stopped: motion goes on from rest, from where it stands. */
static int quiet_motion; /* kinks are what is looked for */

static void look_at_motion(uint32_t *jumps, uint32_t *kinks, uint32_t *rests)
{
    const struct commit *a = NULL;
    uint64_t count = plant->commits < JOURNAL ? plant->commits : JOURNAL;
    double velocity = 0, other = 0, step = ACCELERATION_MAX * 1e-3 * (1 + 1e-3);
    *jumps = *kinks = *rests = 0;
    for (uint64_t i = 0; i < count; i++) {
        const struct commit *b = &plant->journal[i];
        if (b->fate != COMMIT_MADE)
            continue;
        const struct commit *before = a;
        a = b;
        if (!before)
            continue;
        double now = (b->command - before->command) / 1e-3;
        uint64_t stood = b->cycle - before->cycle;
        *jumps += fabs(now) > VELOCITY_MAX * (1 + 1e-5);
        /* The executive counts from the last slot that it knows of, which may be the one before: at 10 it may do either. */
        if (stood > 10)
            *rests += fabs(velocity) > step;
        if (stood >= 10)
            other = 0;
        if (stood > 10)
            velocity = 0;
        if (before->epoch != b->epoch && now == 0 && stood <= 10)
            continue;
        if (fabs(now - velocity) > step && fabs(now - other) > step) {
            if (!quiet_motion)
                printf("kink: cycles %" PRIu64 " %" PRIu64
                       ", epochs %u %u, command %.9g -> %.9g, velocity before %.6g\n",
                       before->cycle, b->cycle, (unsigned)before->epoch, (unsigned)b->epoch,
                       before->command, b->command, velocity);
            ++*kinks;
        }
        velocity = other = now;
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
