/* test_creators_wrong.c: without the lock the same rounds make more than one generation, or fail. */
#define _GNU_SOURCE
#include "creators.h"

#define mxrc_segment_open_rt unlocked_open_rt
#define mxrc_segment_publish unlocked_publish
#define mxrc_lock_file(path, wait, text, text_capacity) ((void)(path), open("/dev/null", O_RDWR))
#include "../src/segment_open.c"

static int creators_open(struct mxrc_segment *segment, int *created)
{
    struct mxrc_geometry geometry = fixture_geometry();
    geometry.max_members = MXRC_MEMBERS;
    return unlocked_open_rt(segment, fixture_name, fixture_lock, &geometry, created, error,
                            sizeof error);
}

static int creators_publish(struct mxrc_segment *segment)
{
    return unlocked_publish(segment);
}

int main(void)
{
    int good = 1;
    fixture_start();
    creators_round = fixture_shared(sizeof *creators_round);
    for (int round = 0; round < 200 && good; round++) {
        shm_unlink(fixture_name);
        good = creators_run();
    }
    for (int i = 0; i < CREATORS; i++) {
        printf("process %d: result %d, created %d, generation %" PRIu64 " %s\n", i,
               creators_round->by[i].result, creators_round->by[i].created,
               creators_round->by[i].generation, creators_round->by[i].error);
    }
    CHECK_SAY(!good, "the mistake was not found");
    return test_summary();
}
