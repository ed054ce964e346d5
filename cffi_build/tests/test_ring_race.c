/* test_ring_race.c [SECONDS]: readers never see a torn record and account for every one. */
#include "ring_race.h"

/* Returns the records lost by lapping. */
static uint64_t check(uint32_t slots, double seconds)
{
    uint64_t lost = 0;
    race_run(slots, (uint64_t)(seconds * 1e9));
    CHECK(race->published >= RACE_RECORDS);
    for (int i = 0; i < RACE_READERS; i++) {
        const struct race_reader *reader = &race->reader[i];
        CHECK_EQUAL(reader->torn, 0);
        CHECK_EQUAL(reader->seen + reader->lost, race->published);
        CHECK(reader->seen > 0);
        lost += reader->lost;
    }
    return lost;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1.2;
    const uint32_t sizes[] = {2, 8, 64};
    uint64_t lost = 0;
    fixture_start();
    for (int i = 0; i < 3; i++) {
        lost += check(sizes[i], seconds / 3);
    }
    CHECK(lost > 0); /* the race took place: somebody was lapped */
    return test_summary();
}
