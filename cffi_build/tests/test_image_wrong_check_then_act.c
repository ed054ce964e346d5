/* test_image_wrong_check_then_act.c: a commit looks at the epoch and then stores; the claims must find it. */
#define MXRC_WRONG_CHECK_THEN_ACT
#include "image_claims.h"

int main(void)
{
    return wrong_variant();
}
