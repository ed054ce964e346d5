/* test_takeover.c [KILLS STALLS ABORTS]: the PRIMARY is killed, stopped and aborted again and again while tasks move an arm;
 * a standby goes on each time. Never two at once, no task lost or run twice, nothing stale at the plant. */
#include "takeover.h"

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

static pid_t primary_pid(void)
{
    int member = primary_now();
    return member < 0 ? 0 : (pid_t)mxrc_load_acquire32(&member_of(member)->pid);
}

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

static int poisoned(void)
{
    return mxrc_load_acquire32(&plant->poisoned) != 0;
}

/* The same without the fence: the stale output reaches the plant. */
static void test_stall_without_fence(uint32_t place)
{
    arena_begin(2, 1);
    mxrc_store_release32(&plant->spare, 1);
    if (settle("no fence") && CHECK(stall_and_continue(place)))
        CHECK(tend_until(poisoned, 5));
    arena_kill();
}

static void test_aborts(unsigned count)
{
    unsigned block = 0, record = 0;
    arena_begin(2, 0);
    while (block + record < count && settle("abort")) {
        int member = primary_now();
        if (member < 0)
            continue;
        wanted_epoch = epoch_now() + 1;
        struct orders *orders = &plant->orders[member];
        orders->die_in = (uint32_t)(test_random(&dice) % 40);
        int in_block = block <= record;
        mxrc_store_release32(&orders->die_phase, in_block ? MXRC_AT_STATE_BLOCK : MXRC_PHASES + 1);
        if (settle("aborted")) {
            block += (unsigned)in_block;
            record += (unsigned)!in_block;
        }
    }
    check_account("aborts");
    CHECK(tombstones >= record);
    printf("%u aborts in a state block, %u in a ring record (%u tombstones): %u tasks\n", block,
           record, (unsigned)tombstones, (unsigned)sent);
    arena_kill();
}

/* A standby dies at each step of its take-over from a stopped PRIMARY; the third goes on. */
static void test_death_in_takeover(void)
{
    unsigned done = 0;
    arena_begin(3, 0);
    for (uint32_t phase = MXRC_AT_JUDGED; phase <= MXRC_AT_RESTORED && settle("three"); phase++) {
        tend_for(30000000);
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
        done += (unsigned)settle("died in take-over");
        for (int i = 0; i < PROCESSES; i++)
            mxrc_store_release32(&plant->orders[i].die_phase, MXRC_PHASES);
        if (pid)
            kill(pid, SIGCONT); /* should it have been spared */
    }
    check_account("deaths in a take-over");
    CHECK_EQUAL(done, MXRC_AT_RESTORED - MXRC_AT_JUDGED + 1);
    printf("%u deaths of a standby, one at each step of a take-over\n", done);
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
    test_stall_without_fence(STOP_BEFORE_BUFFER);
    test_stall_without_fence(STOP_IN_BUFFER);
    test_aborts(aborts);
    test_death_in_takeover();
    test_race(aborts);
    test_both_die(stalls);
    test_stop(0);
    test_stop(1);
    test_pause();
    return test_summary();
}
