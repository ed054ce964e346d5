/* test_creators.c [ROUNDS]: however many processes come at once, one makes the generation and all share it. */
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
    return test_summary();
}
