/* test_ring_wrong_no_recheck.c: the reader does not look at the sequence word again; the claims must find it. */
#define MXRC_WRONG_NO_RECHECK
#include "ring_claims.h"

int main(void)
{
    return wrong_variant();
}
