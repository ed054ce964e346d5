/* test_image_wrong_forgets.c: a take-over drops the name of the buffer that was committed last; the claims must find it. */
#define MXRC_WRONG_FORGETS
#include "image_claims.h"

int main(void)
{
    return wrong_variant();
}
