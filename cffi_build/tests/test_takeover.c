/* test_takeover.c [KILLS STALLS ABORTS]: the PRIMARY is killed, stopped and aborted again and again while tasks move an arm;
 * a standby goes on each time. Never two at once, no task lost or run twice, nothing stale at the plant. */
#include "takeover_account.h"

static void test_kills(unsigned count)
{
    unsigned done = 0;
    arena_begin(2, 0);
    while (done < count && settle("kill")) {
        tend_for(test_random(&dice) % 20000000);
        rest(test_random(&dice) % 1000000);
        pid_t pid = primary_pid();
        if (!pid)
            continue;
        wanted_epoch = epoch_now() + 1;
        kill(pid, SIGKILL);
        done++;
    }
    settle("after the kills");
    check_account("kills");
    CHECK_EQUAL(done, count);
    printf("%u kills of the PRIMARY at random: %u tasks, %u commits, at most %u slots without "
           "PRIMARY\n",
           done, (unsigned)sent, (unsigned)plant->commits, (unsigned)outage_max);
    arena_kill();
}

static void test_stalls(unsigned count)
{
    unsigned killed = 0, continued = 0;
    arena_begin(2, 0);
    while (killed + continued < count && settle("stall")) {
        tend_for(test_random(&dice) % 30000000);
        if (continued < killed) {
            mxrc_store_release32(&plant->spare, 1);
            continued +=
                (unsigned)stall_and_continue(continued % 2 ? STOP_IN_BUFFER : STOP_BEFORE_BUFFER);
            settle("continued");
            mxrc_store_release32(&plant->spare, 0);
            continue;
        }
        pid_t pid = primary_pid();
        if (!pid)
            continue;
        wanted_epoch = epoch_now() + 1;
        kill(pid, SIGSTOP);
        killed++;
    }
    settle("after the stalls");
    check_account("stalls");
    CHECK(ended_stale > 0);
    printf("%u stalls, killed in the take-over; %u continued in their commit after the fence (%d "
           "found themselves fenced off, outputs made safe %u times): %u tasks, nothing stale\n",
           killed, continued, ended_stale, (unsigned)plant->safe_calls, (unsigned)sent);
    arena_kill();
}

/* The PRIMARY dies between its commit and its state block, and nobody is there for longer than an arm is taken to be still in
 * motion: the successor starts from where the last commit has led. The wrong variant starts one step behind, with a jerk. */
static void test_unseen(unsigned count, int forgetful)
{
    uint32_t jumps, kinks, rests;
    unsigned done = 0;
    arena_begin(1, forgetful);
    while (done < count) {
        if (!tend_until(running, 20)) {
            CHECK_SAY(0, "unseen: no PRIMARY after %u deaths", done);
            break;
        }
        int member = primary_now();
        if (member < 0)
            continue;
        wanted_epoch = epoch_now() + 1;
        plant->orders[member].die_in = (uint32_t)(test_random(&dice) % 60);
        respawn = 0;
        mxrc_store_release32(&plant->orders[member].die_phase, MXRC_AT_COMMITTED);
        if (!CHECK(tend_until(nobody, 5)))
            break;
        tend_for(15000000);
        respawn = 1;
        rt_pids[0] = spawn(rt_main);
        done++;
    }
    if (!forgetful) {
        check_account("unseen commits");
        look_at_motion(&jumps, &kinks, &rests);
        printf("%u deaths between commit and state block without a standby: %u times motion went "
               "on from rest where the last commit had led\n",
               done, rests);
    } else {
        tend_for(20000000);
        quiet_motion = 1;
        look_at_motion(&jumps, &kinks, &rests);
        quiet_motion = 0;
        CHECK_SAY(kinks > 0, "starting one step behind was not found");
    }
    CHECK(rests > 0);
    arena_kill();
}

/* The next one dies as early, after some milliseconds in which nobody was there: for both together the arm is still in motion or
 * not any more, and the third does the same step a third time, or starts from rest where it has led. */
static void test_unseen_twice(unsigned count)
{
    uint32_t jumps, kinks, rests;
    unsigned done = 0;
    arena_begin(1, 0);
    while (CHECK(tend_until(running, 20)) && done < count) {
        int member = primary_now();
        if (member < 0)
            continue;
        wanted_epoch = epoch_now() + 2;
        plant->orders[member].die_in = (uint32_t)(test_random(&dice) % 60);
        plant->firstborn = 1;
        plant->birth_ns = test_random(&dice) % 8000000;
        mxrc_store_release32(&plant->orders[member].die_phase, MXRC_AT_COMMITTED);
        done++;
    }
    check_account("unseen commits in a row");
    look_at_motion(&jumps, &kinks, &rests);
    CHECK_EQUAL(plant->died[MXRC_AT_COMMITTED], 2 * done);
    CHECK(rests > 0);
    printf("%u times two deaths in a row between commit and state block: %u times motion went on "
           "from rest\n",
           done, rests);
    arena_kill();
}

/* So many in a state block, and as many in a ring record. Counted by who died so: on a machine that stands still the standby takes
 * over before it comes to that. */
static void test_aborts(unsigned count)
{
    arena_begin(2, 0);
    const uint32_t *block = &plant->died[MXRC_AT_STATE_BLOCK];
    const uint32_t *record = &plant->died[MXRC_PHASES + 1];
    for (unsigned tries = 0; tries < 20 * count && settle("abort"); tries++) {
        uint32_t blocks = mxrc_load_acquire32(block), records = mxrc_load_acquire32(record);
        if (blocks >= count && records >= count)
            break;
        int member = primary_now();
        if (member < 0)
            continue;
        wanted_epoch = epoch_now() + 1;
        struct orders *orders = &plant->orders[member];
        orders->die_in = (uint32_t)(test_random(&dice) % 40);
        mxrc_store_release32(&orders->die_phase,
                             blocks <= records ? MXRC_AT_STATE_BLOCK : MXRC_PHASES + 1);
        settle("aborted");
    }
    check_account("aborts");
    uint32_t blocks = mxrc_load_acquire32(block), records = mxrc_load_acquire32(record);
    CHECK(blocks >= count && records >= count);
    CHECK_SAY(tombstones >= records, "%u tombstones", (unsigned)tombstones);
    printf("%u aborts in a state block, %u in a ring record (%u tombstones): %u tasks\n", blocks,
           records, (unsigned)tombstones, (unsigned)sent);
    arena_kill();
}

/* One of two standbys is to die at this step of its take-over from a stopped PRIMARY; the other may be the faster one. */
static void stop_primary(uint32_t phase)
{
    pid_t pid = primary_pid();
    wanted_epoch = epoch_now() + 1;
    int primary = primary_now(), victims = 0;
    for (int i = 0; i < PROCESSES; i++)
        if (i != primary && !victims++) {
            plant->orders[i].die_in = 0;
            mxrc_store_release32(&plant->orders[i].die_phase, phase);
        }
    if (pid)
        kill(pid, SIGSTOP);
    settle("died in take-over");
    for (int i = 0; i < PROCESSES; i++)
        mxrc_store_release32(&plant->orders[i].die_phase, MXRC_PHASES);
    if (pid)
        kill(pid, SIGCONT); /* should it have been spared */
}

/* A standby dies at each step of its take-over; the third goes on. */
static void test_death_in_takeover(void)
{
    unsigned tries = 0;
    arena_begin(3, 0);
    for (uint32_t phase = MXRC_AT_JUDGED; phase <= MXRC_AT_RESTORED; phase++) {
        const uint32_t *died = &plant->died[phase];
        for (unsigned n = 0; n < 40 && !mxrc_load_acquire32(died) && settle("three"); n++) {
            tend_for(30000000);
            stop_primary(phase);
            tries++;
        }
        CHECK_SAY(mxrc_load_acquire32(died) > 0, "nobody has died at step %u", phase);
    }
    check_account("deaths in a take-over");
    printf("deaths of a standby at each of %d steps of a take-over: %u stops of the PRIMARY\n",
           MXRC_AT_RESTORED - MXRC_AT_JUDGED + 1, tries);
    arena_kill();
}

/* Two standbys, both judge at the same moment. */
static void test_race(unsigned count)
{
    unsigned done = 0;
    arena_begin(3, 0);
    while (done < count && settle("race")) {
        tend_for(20000000);
        pid_t pid = primary_pid();
        if (!pid)
            continue;
        wanted_epoch = epoch_now() + 1;
        kill(pid, done % 2 ? SIGSTOP : SIGKILL);
        done++;
    }
    settle("after the races");
    check_account("races");
    printf("%u races of two standbys\n", done);
    arena_kill();
}

/* PRIMARY and standby die at once: the work goes on with the next two. */
static void test_both_die(unsigned count)
{
    arena_begin(2, 0);
    for (unsigned i = 0; i < count && settle("both"); i++) {
        tend_for(test_random(&dice) % 20000000);
        wanted_epoch = epoch_now() + 1;
        for (int k = 0; k < 2; k++)
            kill(rt_pids[k], SIGKILL);
    }
    settle("after both died");
    check_account("both die");
    printf("%u deaths of both\n", count);
    arena_kill();
}

/* A STOP ends all; one that the PRIMARY does not live to finish is not undone by the standby. */
static void test_stop(int die)
{
    arena_begin(2, 0);
    if (settle("stop")) {
        tend_for(25000000);
        feeding = respawn = 0;
        int member = primary_now();
        pid_t pid = primary_pid();
        if (die && member >= 0 && pid > 0) {
            plant->orders[member].die_in = 3;
            send_event(MXRC_RT_STOP);
            uint64_t until = mxrc_now_ns() + 2000000000;
            while (mxrc_load_acquire32(&rt_status()->state) != MXRC_STATE_SHUTDOWN &&
                   mxrc_now_ns() < until)
                rest(100000);
            kill(pid, SIGKILL);
        } else
            send_event(MXRC_RT_STOP);
        CHECK(tend_until(nobody, 10));
        CHECK_EQUAL(mxrc_load_acquire32(&rt_status()->state), MXRC_STATE_SHUTDOWN);
        CHECK(plant->safe_calls > 0);
        CHECK_EQUAL(ended_badly, 0);
    }
    arena_kill();
}

/* A standby that was paused with everything else does not judge; the PRIMARY goes on. One that judged by the
 * age of the heartbeat alone would take over each time. On a starved machine a PRIMARY can be silent for
 * long after it was continued, and is then taken over rightly: that may happen now and then. */
static void test_pause(void)
{
    enum { PAUSES = 6 };
    uint64_t taken = 0;
    arena_begin(2, 0);
    if (settle("pause")) {
        for (int i = 0; i < PAUSES; i++) {
            uint64_t epoch = epoch_now();
            for (int k = 0; k < 2; k++)
                if (rt_pids[k])
                    kill(rt_pids[k], SIGSTOP);
            rest(400000000);
            for (int k = 0; k < 2; k++)
                if (rt_pids[k])
                    kill(rt_pids[k], SIGCONT);
            tend_for(150000000);
            taken += epoch_now() != epoch;
        }
        printf("%d pauses of everything: %d take-overs\n", PAUSES, (int)taken);
        CHECK(taken <= PAUSES / 2);
        check_account("pause");
    }
    arena_kill();
}

int main(int argc, char **argv)
{
    unsigned kills = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
    unsigned stalls = argc > 2 ? (unsigned)atoi(argv[2]) : 4;
    unsigned aborts = argc > 3 ? (unsigned)atoi(argv[3]) : 6;
    dice = mxrc_now_ns() | 1;
    printf("seed %" PRIu64 "\n", dice);
    test_kills(kills);
    test_stalls(stalls);
    test_unseen(2 * aborts, 0);
    test_unseen(12, 1);
    test_unseen_twice(2 * aborts);
    test_aborts(aborts);
    test_death_in_takeover();
    test_race(aborts);
    test_both_die(stalls);
    test_stop(0);
    test_stop(1);
    test_pause();
    return test_summary();
}
