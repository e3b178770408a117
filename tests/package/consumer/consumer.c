/* consumer.c: the smallest user: the version that was linked, and one call that fails with a text. */
#include <stdio.h>
#include <string.h>
#include <treadle/treadle.h>

int main(int argc, char **argv)
{
    if (argc != 2 || strcmp(trd_version(), argv[1]) != 0) {
        fprintf(stderr, "linked with treadle %s, wanted %s\n", trd_version(), argc == 2 ? argv[1] : "(no argument)");
        return 1;
    }
    const trd_allocator empty = { 0 };
    if (trd_allocator_set(&empty) != TRD_E_INVALID || strlen(trd_last_error()) == 0) return 1;
    printf("treadle %s: %s\n", trd_version(), trd_last_error());
    return 0;
}
