/* test_ring_wrong_no_tombstone.c: a successor passes over an unfinished record; the claims must find it. */
#define MXRC_WRONG_NO_TOMBSTONE
#include "ring_claims.h"

int main(void)
{
    return wrong_variant();
}
