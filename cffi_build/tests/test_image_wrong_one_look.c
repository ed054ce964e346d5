/* test_image_wrong_one_look.c: the plant does not look at the word again; the claims must find it. */
#define MXRC_WRONG_ONE_LOOK
#include "image_claims.h"

int main(void)
{
    return wrong_variant();
}
