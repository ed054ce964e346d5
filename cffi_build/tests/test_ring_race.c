/* test_ring_race.c [SECONDS]: readers never see a torn record and account for every one. */
#include "ring_race.h"

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1.0;
    fixture_start();
    race_run((uint64_t)(seconds * 1e9));
    CHECK(race->published > 1000);
    for (int i = 0; i < RACE_READERS; i++) {
        const struct race_reader *reader = &race->reader[i];
        CHECK_EQUAL(reader->torn, 0);
        CHECK_EQUAL(reader->seen + reader->lost, race->published);
        CHECK(reader->seen > 0);
    }
    /* The race took place: somebody was lapped. */
    CHECK(race->reader[0].lost + race->reader[1].lost + race->reader[2].lost > 0);
    return test_summary();
}
