/* test_creators.c [ROUNDS]: however many processes come at once, one makes the generation and all share it. */
#include <signal.h>
#include <time.h>

#include "creators.h"

static uint64_t config_hash;

static int creators_open(struct mxrc_segment *segment, int *created)
{
    struct mxrc_geometry geometry = fixture_geometry();
    geometry.max_members = MXRC_MEMBERS;
    geometry.config_hash = config_hash;
    return mxrc_segment_open_rt(segment, fixture_name, fixture_lock, &geometry, created, error,
                                sizeof error);
}

static int creators_publish(struct mxrc_segment *segment)
{
    return mxrc_segment_publish(segment);
}

/* A creator is killed wherever it is, also between making and naming: the next one finds nothing or a whole one. */
static void test_killed(int rounds)
{
    uint64_t dice = (uint64_t)getpid();
    int made = 0;
    for (int round = 0; round < rounds; round++) {
        struct mxrc_segment segment;
        int created;
        shm_unlink(fixture_name);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            if (creators_open(&segment, &created) == MXRC_OPEN_OK && created) {
                mxrc_segment_publish(&segment);
            }
            pause();
        }
        nanosleep(&(struct timespec){.tv_nsec = (long)(test_random(&dice) >> 43)}, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        int seen = fixture_attach(&segment, MXRC_ACCESS_READ);
        CHECK_SAY(seen == MXRC_OPEN_OK || seen == MXRC_OPEN_ABSENT || seen == MXRC_OPEN_BUILDING,
                  "%s", error);
        mxrc_segment_detach(&segment);
        CHECK_SAY(creators_open(&segment, &created) == MXRC_OPEN_OK, "%s", error);
        CHECK_EQUAL(created, seen != MXRC_OPEN_OK);
        CHECK_EQUAL(created ? mxrc_segment_publish(&segment) : 0, 0);
        made += created;
        mxrc_segment_detach(&segment);
    }
    printf("%d of %d creators were killed before publication\n", made, rounds);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 40;
    uint64_t last = 0;
    fixture_start();
    creators_round = fixture_shared(sizeof *creators_round);
    for (int round = 0; round < rounds; round++) {
        /* In turn: no object, a dead one of the same shape, a dead one of another shape. */
        if (round % 3 == 0) {
            shm_unlink(fixture_name);
        }
        config_hash += round % 3 == 2;
        CHECK_SAY(creators_run(), "round %d: %s", round, creators_round->by[0].error);
        uint64_t generation = creators_round->by[0].generation;
        CHECK(round % 3 == 1 ? generation == last : generation != last);
        last = generation;
    }
    test_killed(rounds);
    return test_summary();
}
