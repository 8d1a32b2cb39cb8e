/* Pipe loops without a library: `capture CASE producer=PATH bytes=B block=K pipe=P read=R captures=N` or `lines=N`. */
#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

typedef struct {
    char **argv;
    size_t pipe, read;
    double bytes;
    /* Where the bytes go: a growing allocation or mapping, kept between captures by `store-keep`. */
    char *memory;
    size_t room;
} plan;

static int start_producer(plan *p, pid_t *pid) {
    int ends[2];
    posix_spawn_file_actions_t actions;
    const char *lines = bench_text(p->argv, "lines", NULL);
    char *program = (char *)bench_text(p->argv, "producer", NULL);
    char *flood[] = {program, "flood", (char *)bench_text(p->argv, "bytes", NULL), (char *)bench_text(p->argv, "block", "65536"), NULL};
    char *text[] = {program, "lines", (char *)lines, "12", NULL};
    if (pipe2(ends, O_CLOEXEC) != 0) bench_fail("pipe2");
    if (p->pipe > 65536 && fcntl(ends[0], F_SETPIPE_SZ, (int)p->pipe) < 0) bench_fail("F_SETPIPE_SZ");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    if ((errno = posix_spawn(pid, program, &actions, NULL, lines ? text : flood, environ)) != 0) bench_fail("posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    return ends[0];
}

static size_t read_some(int fd, char *to, size_t room) {
    ssize_t n;
    do n = read(fd, to, room);
    while (n < 0 && errno == EINTR);
    if (n < 0) bench_fail("read");
    return (size_t)n;
}

static double discard(plan *p, int fd) {
    double total = 0;
    char *buffer = malloc(p->read);
    for (size_t n; (n = read_some(fd, buffer, p->read)) > 0;) total += (double)n;
    free(buffer);
    return total;
}

static double store_realloc(plan *p, int fd) {
    size_t used = 0, room = 65536;
    char *buffer = malloc(room);
    for (size_t n; (n = read_some(fd, buffer + used, room - used < p->read ? room - used : p->read)) > 0;) {
        used += n;
        if (used == room && (buffer = realloc(buffer, room *= 2)) == NULL) bench_fail("realloc");
    }
    free(buffer);
    return (double)used;
}

static void grow_huge(plan *p) {
    size_t room = p->room ? p->room * 2 : 4u << 20;
    p->memory = p->room ? mremap(p->memory, p->room, room, MREMAP_MAYMOVE)
                        : mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->memory == MAP_FAILED) bench_fail("mremap");
    p->room = room;
    madvise(p->memory, room, MADV_HUGEPAGE);
}

/* Keeps the mapping, warm, for the next capture. */
static double store_keep(plan *p, int fd) {
    size_t used = 0;
    for (;;) {
        if (used == p->room) grow_huge(p);
        size_t n = read_some(fd, p->memory + used, p->room - used < p->read ? p->room - used : p->read);
        if (n == 0) return (double)used;
        used += n;
    }
}

static double store_huge(plan *p, int fd) {
    double total = store_keep(p, fd);
    munmap(p->memory, p->room);
    p->room = 0;
    return total;
}

/* Counts lines and adds up their lengths, so that each line is looked at. */
static double lines_memchr(plan *p, int fd) {
    char *buffer = malloc(p->read);
    size_t kept = 0, length = 0, count = 0;
    for (size_t n; (n = read_some(fd, buffer + kept, p->read - kept)) > 0;) {
        char *at = buffer, *end = buffer + kept + n, *newline;
        while ((newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
            length += (size_t)(newline - at);
            count++;
            at = newline + 1;
        }
        kept = (size_t)(end - at);
        memmove(buffer, at, kept);
    }
    free(buffer);
    return length == count * 11 ? (double)count : 0;
}

static double lines_getline(plan *p, int fd) {
    (void)p;
    FILE *file = fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0, length = 0, count = 0;
    for (ssize_t n; (n = getline(&line, &room, file)) > 0; count++) length += (size_t)n;
    free(line);
    fclose(file);
    return length == count * 12 ? (double)count : 0;
}

static const struct {
    const char *name;
    double (*take)(plan *p, int fd);
} CASES[] = {
    {"discard", discard},       {"store-realloc", store_realloc}, {"store-huge", store_huge},
    {"store-keep", store_keep}, {"lines-memchr", lines_memchr},   {"lines-getline", lines_getline},
};

static void capture(plan *p, double (*take)(plan *, int), bench_capture *result) {
    pid_t pid;
    int status;
    uint64_t begin = bench_now();
    int fd = start_producer(p, &pid);
    double taken = take(p, fd);
    if (waitpid(pid, &status, 0) != pid || status != 0) bench_fail("producer");
    double seconds = (double)(bench_now() - begin) / 1e9;
    if (take != lines_getline) close(fd);
    if (taken != p->bytes) bench_fail("bytes or lines missing");
    bench_add(&result->rates, taken / seconds);
}

int main(int argc, char **argv) {
    double lines = bench_number(argv, "lines", 0);
    plan p = {.argv = argv, .pipe = (size_t)bench_number(argv, "pipe", 65536), .read = (size_t)bench_number(argv, "read", 65536)};
    p.bytes = lines > 0 ? lines : bench_number(argv, "bytes", 0);
    bench_capture result = {.bytes = lines > 0 ? lines * 12 : p.bytes};
    result.baseline = bench_memory("VmRSS");
    int captures = (int)bench_number(argv, "captures", 1);
    for (size_t i = 0; argc > 1 && i < sizeof CASES / sizeof *CASES; i++) {
        if (strcmp(CASES[i].name, argv[1]) != 0) continue;
        for (int k = 0; k < captures; k++) capture(&p, CASES[i].take, &result);
        result.cpu = bench_cpu() / captures;
        bench_report_capture(&result, lines > 0 ? "mlines_s" : "gib_s", lines > 0 ? 1e6 : 1024.0 * 1024 * 1024);
        return 0;
    }
    fprintf(stderr, "unknown case\n");
    return 2;
}
