/* test_ring_claims.c: ring.c with readers, writers and deaths at every moment inside a slot. Its wrong
 * variants are test_ring_wrong_*.c. */
#include "ring_claims.h"

int main(void)
{
    fixture_start();
    CHECK_EQUAL(ring_claims(), 0);
    CHECK(claim_made > 1000);
    return test_summary();
}
