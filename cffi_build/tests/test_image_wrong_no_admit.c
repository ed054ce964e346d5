/* test_image_wrong_no_admit.c: a take-over leaves the commit word alone; the claims must find it. */
#define MXRC_WRONG_NO_ADMIT
#include "image_claims.h"

int main(void)
{
    return wrong_variant();
}
