/* test_image_wrong_named_buffer.c: the buffer is filled that the plant may be copying; the claims must find it. */
#define MXRC_WRONG_NAMED_BUFFER
#include "image_claims.h"

int main(void)
{
    return wrong_variant();
}
