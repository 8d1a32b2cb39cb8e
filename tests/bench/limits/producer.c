/* The child whose output is taken in: `producer flood BYTES BLOCK` or `producer lines COUNT LENGTH` (LENGTH with the newline). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_all(const char *data, size_t length) {
    while (length > 0) {
        ssize_t n = write(1, data, length);
        if (n < 0) return 1;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

static int repeat(const char *block, size_t size, unsigned long long total) {
    while (total > 0) {
        size_t part = total < size ? (size_t)total : size;
        if (write_all(block, part)) return 1;
        total -= part;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    unsigned long long total = strtoull(argv[2], NULL, 10);
    size_t unit = strtoull(argv[3], NULL, 10);
    int lines = strcmp(argv[1], "lines") == 0;
    /* Whole lines per block, so that blocks can be repeated. */
    size_t size = lines ? 65536 / unit * unit : unit;
    char *block = malloc(size);
    if (block == NULL || unit == 0) return 2;
    memset(block, 'x', size);
    if (lines) {
        for (size_t i = unit - 1; i < size; i += unit) block[i] = '\n';
        total *= unit;
    }
    return repeat(block, size, total);
}
