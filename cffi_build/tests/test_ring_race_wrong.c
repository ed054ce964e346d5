/* test_ring_race_wrong.c: the same race finds torn records when the slot is not marked before it is written. */
#define MXRC_WRONG_NO_ODD
#include "ring_race.h"

int main(void)
{
    uint64_t torn = 0;
    fixture_start();
    for (int round = 0; round < 20 && torn == 0; round++) {
        race_run(2, 200000000);
        torn = race->reader[0].torn + race->reader[1].torn + race->reader[2].torn;
    }
    CHECK_SAY(torn > 0, "the mistake was not found");
    return test_summary();
}
