/* test_image_claims.c: every claim of image_claims.h holds. */
#include "image_claims.h"

int main(void)
{
    CHECK_EQUAL(image_claims(), 0);
    CHECK(claims_made > 1000);
    return test_summary();
}
