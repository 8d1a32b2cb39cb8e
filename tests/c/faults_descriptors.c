/* Which descriptors a child gets, and which it never sees. */
#define ROWS(ROW)                                                                                             \
    ROW(a01, "A01", "no pipe leaks into another child", ANYWHERE, NULL)                                       \
    ROW(a02, "A02", "the child sees only what was given", NOT_VALGRIND, NULL)                                 \
    ROW(a02_walk, "A02", "also without close_range", PLAIN, "close_range:error=ENOSYS")                       \
    ROW(a02_busy, "A02", "also while other threads open more", ANYWHERE, NULL)                                \
    ROW(a03, "A03", "no way out through a leaked directory", NOT_VALGRIND, NULL)                              \
    ROW(a15, "A15", "any map of descriptors works", NOT_VALGRIND, NULL)                                       \
    ROW(a16, "A16", "a host without standard streams", ANYWHERE, NULL)                                        \
    ROW(a17, "A17", "no flag of an inherited stream changes, and a child's pipe blocks", ANYWHERE, NULL)
#include "rows.h"
#include <sys/ioctl.h>

static _Atomic int running;
static const uint32_t none = 0;

static void *sleepers(void *unused) {
    while (running) {
        procs_child *some[20];
        for (int i = 0; i < 20; i++) some[i] = start(CHILD("sleep", "30"));
        for (int i = 0; i < 20; i++) kill_it(some[i]);
    }
    return unused;
}

/* A leaked end would keep a stream open as long as the sleepers live. */
static void *cats(void *unused) {
    for (int round = 0; round < times(200); round++) {
        procs_spawn_options o = CHILD("cat");
        o.stdin_from.kind = o.stdout_to.kind = o.stderr_to.kind = PROCS_STDIO_PIPE;
        procs_child *cat = start(o);
        char byte;
        size_t n;
        double began = now_ms();
        CHECK(procs_child_close_stdin(cat) == PROCS_OK);
        CHECK(procs_child_read(cat, 1, 20000, &byte, 1, &n) == PROCS_OK && n == 0);
        CHECK(procs_child_read(cat, 2, 20000, &byte, 1, &n) == PROCS_OK && n == 0);
        CHECK(now_ms() - began < 15000);
        CHECK(end_of(cat).code == 0);
    }
    return unused;
}

static void a01(void) {
    pthread_t readers[8], other;
    running = 1;
    CHECK(pthread_create(&other, NULL, sleepers, NULL) == 0);
    in_threads(8, cats, readers);
    join(8, readers);
    running = 0;
    join(1, &other);
}

/* The child's descriptors must be these. */
static void sees(procs_spawn_options o, const char *expected) {
    char found[2000] = "", *list = strdup(printed(o)), *rest = NULL;
    for (char *line = strtok_r(list, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        snprintf(found + strlen(found), sizeof found - strlen(found), "%d ", atoi(line));
    if (strcmp(found, expected) != 0) fprintf(stderr, "   sees %s\n", found);
    CHECK(strcmp(found, expected) == 0);
    free(list);
}

/* As a careless host: 200 descriptors that can be inherited, one of them far up. */
static void open_many(int *fds) {
    struct rlimit limit = {4200, 4200};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int i = 0; i < 199; i++) CHECK((fds[i] = open("/dev/null", O_RDWR)) > 2);
    CHECK((fds[199] = fcntl(fds[0], F_DUPFD, 4000)) == 4000);
}

static void nothing_foreign(int rounds) {
    int fds[200];
    open_many(fds);
    procs_extra_fd two[] = {{7, 0, {PROCS_STDIO_PIPE, 0, NULL}}, {4000, 0, {PROCS_STDIO_FD, fds[50], NULL}}};
    for (int round = 0; round < rounds; round++) {
        procs_spawn_options o = CHILD("fds");
        sees(o, "0 1 2 ");
        o.extra_fds = two;
        o.extra_fd_count = 2;
        sees(o, "0 1 2 7 4000 ");
        o.extra_fd_count = 0;
        o.groups = &none; /* a change of identity takes another way to the child */
        sees(o, "0 1 2 ");
    }
    for (int i = 0; i < 200; i++) close(fds[i]);
}

static void a02(void) { nothing_foreign(times(30)); }

static void a02_walk(void) {
    procs_engine_info info = {.size = sizeof info};
    CHECK(procs_engine(&info) == PROCS_OK && !info.close_range);
    nothing_foreign(times(30));
}

static void *opener(void *unused) {
    while (running) {
        int fds[50];
        for (int i = 0; i < 50; i++) fds[i] = dup(0);
        for (int i = 0; i < 50; i++) close(fds[i]);
    }
    return unused;
}

static void a02_busy(void) {
    pthread_t thread;
    running = 1;
    in_threads(1, opener, &thread);
    for (int round = 0; round < times(300); round++) sees(CHILD("fds"), "0 1 2 ");
    running = 0;
    join(1, &thread);
}

static void a03(void) {
    int fds[15];
    CHECK((fds[0] = open("/", O_RDONLY)) > 2);
    for (int i = 1; i < 15; i++) CHECK((fds[i] = dup(fds[0])) > 2);
    for (int number = 3; number <= 20; number++) {
        for (int way = 0; way < 4; way++) {
            char cwd[64];
            procs_spawn_options o = CHILD("cwd");
            snprintf(cwd, sizeof cwd, "/proc/self/fd/%d%s", number, way & 1 ? "/../.." : "");
            o.cwd = cwd;
            if (way & 2) o.groups = &none;
            refused(o, PROCS_E_NOT_FOUND, "directory", ENOENT);
        }
    }
    for (int i = 0; i < 15; i++) close(fds[i]);
}

enum { FILES = 6, FIRST = 60 };

/* Starts a child with a map (its number, which file) and compares what it wrote where. */
static void check_map(const int *numbers, const int *files, int size) {
    procs_extra_fd extra[16];
    char words[16][8];
    const char *argv[20] = {helper(), "writes"};
    procs_spawn_options o = options_for(argv);
    o.extra_fds = extra;
    for (int i = 0; i < size; i++) {
        procs_stdio from = {PROCS_STDIO_FD, FIRST + files[i], NULL};
        snprintf(words[i], sizeof words[i], "%d", numbers[i]);
        argv[2 + i] = words[i];
        if (numbers[i] == 0) o.stdin_from = from;
        else if (numbers[i] == 1) o.stdout_to = from;
        else if (numbers[i] == 2) o.stderr_to = from;
        else extra[o.extra_fd_count++] = (procs_extra_fd){numbers[i], 0, from};
    }
    exits(o, 0);
    for (int file = 0; file < FILES; file++) {
        char expected[200] = "", name[16];
        for (int i = 0; i < size; i++)
            if (files[i] == file) snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%d\n", numbers[i]);
        snprintf(name, sizeof name, "file%d", file);
        CHECK(strcmp(text_of(in_folder(name)), expected) == 0);
        CHECK(truncate(in_folder(name), 0) == 0);
    }
}

static void a15(void) {
    static const int pool[] = {0, 1, 2, 3, 4, 5, 9, 60, 61, 62, 63, 64, 65, 66, 255, 1023};
    struct rlimit limit = {1100, 1100};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int file = 0; file < FILES; file++) {
        char name[16];
        snprintf(name, sizeof name, "file%d", file);
        int fd = open(in_folder(name), O_WRONLY | O_APPEND | O_CREAT, 0644);
        CHECK(dup2(fd, FIRST + file) == FIRST + file && close(fd) == 0);
    }
    check_map((int[]){60, 61}, (int[]){1, 0}, 2);
    check_map((int[]){60, 61, 62}, (int[]){1, 2, 0}, 3);
    check_map((int[]){60, 61}, (int[]){0, 1}, 2);
    check_map((int[]){3, 9, 255, 1023}, (int[]){0, 1, 2, 0}, 4);
    for (int code = 0; code < 27; code++) check_map((int[]){0, 1, 2}, (int[]){code % 3, code / 3 % 3, code / 9}, 3);
    for (int round = 0; round < times(300); round++) {
        int numbers[16], files[16], size = 0;
        for (int i = 0; i < 16; i++) {
            if (rand() % 2 == 0) continue;
            numbers[size] = pool[i];
            files[size++] = rand() % FILES;
        }
        /* The helper needs its 2 for complaints only; each number is its own word. */
        if (size > 0) check_map(numbers, files, size);
    }
    for (int file = 0; file < FILES; file++) close(FIRST + file);
}

/* The target of descriptor `number` in a list of the helper's; "" when it is not there. */
static const char *target_in(const char *list, int number) {
    static char target[300];
    char start[16];
    target[0] = '\0';
    snprintf(start, sizeof start, "%d ", number);
    for (const char *line = list; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, start, strlen(start)) == 0) snprintf(target, sizeof target, "%.*s", (int)strcspn(line + strlen(start), "\n"), line + strlen(start));
    return target;
}

/* With these streams of the host closed and those of the child piped: what is wrong, as a number that says where; 0 for nothing. */
static int streams_are_wrong(int closed, int piped) {
    procs_spawn_options o = CHILD("fds", in_folder("list"));
    procs_stdio pipe = {PROCS_STDIO_PIPE, 0, NULL};
    procs_child *child;
    if (piped & 1) o.stdin_from = pipe;
    if (piped & 2) o.stdout_to = pipe;
    if (piped & 4) o.stderr_to = pipe;
    if (procs_spawn(&o, &child) != PROCS_OK) return 1;
    int wrong = procs_child_fd(child) < 3;
    for (int stream = 0; stream < 3; stream++) wrong |= piped & (1 << stream) && procs_child_stream_fd(child, stream) < 3;
    if (procs_child_wait(child, 20000, NULL) != PROCS_OK || procs_child_free(child) != PROCS_OK || wrong) return 2;
    const char *list = text_of(in_folder("list"));
    for (int number = 0; number < 3; number++) {
        const char *target = target_in(list, number);
        if (piped & (1 << number) ? strncmp(target, "pipe:", 5) != 0 : closed & (1 << number) ? strcmp(target, "/dev/null") != 0 : *target == '\0')
            return 10 + number;
    }
    return 0;
}

static void a16(void) {
    int kept[3];
    for (int i = 0; i < 3; i++) CHECK((kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10)) >= 10);
    for (int closed = 0; closed < 8; closed++) {
        int wrong[8], ran;
        procs_output *output = NULL;
        procs_spawn_options echo = CHILD("echo", "hello");
        if (under_valgrind() && closed % 7 > 1) continue;
        for (int i = 0; i < 3; i++)
            if (closed & (1 << i)) close(i);
        for (int piped = 0; piped < 8; piped++) wrong[piped] = streams_are_wrong(closed, piped);
        ran = procs_run(&echo, &output) == PROCS_OK && procs_output_success(output);
        for (int i = 0; i < 3; i++) CHECK(dup2(kept[i], i) == i); /* messages of failures need them */
        CHECK(ran && procs_output_free(output) == PROCS_OK);
        for (int piped = 0; piped < 8; piped++) {
            if (wrong[piped] != 0) fprintf(stderr, "   closed %d, piped %d: %d\n", closed, piped, wrong[piped]);
            CHECK(wrong[piped] == 0);
        }
    }
    for (int i = 0; i < 3; i++) close(kept[i]);
}

static void a17(void) {
    int before[3], ends[2], unread = 0;
    for (int i = 0; i < 3; i++) before[i] = fcntl(i, F_GETFL);
    for (int round = 0; round < times(50); round++) {
        procs_spawn_options o = CHILD("cat");
        exits(CHILD("exit", "0"), 0);
        o.input = "x";
        o.input_len = 1;
        prints(o, "x", 1);
    }
    for (int i = 0; i < 3; i++) CHECK(fcntl(i, F_GETFL) == before[i]);

    /* A child whose pipe is full waits; its end is not non-blocking. */
    char path[64];
    unsigned flags = O_NONBLOCK;
    CHECK(pipe(ends) == 0);
    procs_spawn_options o = CHILD("flood", "300000", "1");
    o.stdout_to = (procs_stdio){PROCS_STDIO_FD, ends[1], NULL};
    procs_child *child = start(o);
    close(ends[1]);
    WAIT_UNTIL(ioctl(ends[0], FIONREAD, &unread) == 0 && unread >= 60000);
    snprintf(path, sizeof path, "/proc/%d/fdinfo/1", procs_child_pid(child));
    const char *line = strstr(text_of(path), "flags:");
    CHECK(line != NULL && sscanf(line, "flags: %o", &flags) == 1 && !(flags & O_NONBLOCK));
    CHECK(procs_child_wait(child, 300, NULL) == PROCS_E_TIMEOUT);
    static char block[65536];
    ssize_t got, total = 0;
    while ((got = read(ends[0], block, sizeof block)) > 0) total += got;
    CHECK(total == 300000 && close(ends[0]) == 0 && end_of(child).code == 0);

    /* The same for the pipes that the library makes. */
    o = CHILD("flood", "300000", "1");
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    child = start(o);
    flags = O_NONBLOCK;
    snprintf(path, sizeof path, "/proc/%d/fdinfo/1", procs_child_pid(child));
    line = strstr(text_of(path), "flags:");
    CHECK(line != NULL && sscanf(line, "flags: %o", &flags) == 1 && !(flags & O_NONBLOCK));
    CHECK(procs_child_wait(child, 300, NULL) == PROCS_E_TIMEOUT);
    kill_it(child);
}
