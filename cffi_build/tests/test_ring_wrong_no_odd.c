/* test_ring_wrong_no_odd.c: no odd value before the payload; the claims must find it. */
#define MXRC_WRONG_NO_ODD
#include "ring_claims.h"

int main(void)
{
    return wrong_variant();
}
