/* test_ring_wrong_head_first.c: head stored before the record; the claims must find it. */
#define MXRC_WRONG_HEAD_FIRST
#include "ring_claims.h"

int main(void)
{
    return wrong_variant();
}
