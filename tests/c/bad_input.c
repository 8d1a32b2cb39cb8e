/* The bad-input lists of spawn, wait and kill, and streams (with inputs.c, structs.c and handles.c): each value is refused or handled as documented. */
#define ROWS(ROW)                                                                                                  \
    ROW(values, "spawn", "values that the system refuses", NOT_VALGRIND, NULL)                                     \
    ROW(descriptors, "spawn", "descriptors of every kind", NOT_VALGRIND, NULL)                                     \
    ROW(numbers, "spawn", "the numbers that the library uses itself", ANYWHERE, NULL)                              \
    ROW(places, "spawn", "folders that are gone, file systems without programs", PLAIN, NULL)                      \
    ROW(timeouts, "spawn", "timeouts of every size", ANYWHERE, NULL)                                               \
    ROW(late, "wait, kill", "waits and signals at the wrong time", ANYWHERE, NULL)                                 \
    ROW(copy, "wait, kill", "children of a forked copy are not its own", NOT_VALGRIND, NULL)                       \
    ROW(copy_busy, "wait, kill", "a copy of a busy host can start children", PLAIN, NULL)                          \
    ROW(streams, "streams", "reads and writes at the wrong time, of odd sizes", ANYWHERE, NULL)                    \
    ROW(limits, "streams", "limits and inputs of odd sizes", ANYWHERE, NULL)
#include "rows.h"
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>

static void values(void) {
    procs_child *ended = start(CHILD("exit", "0"));
    CHECK(procs_child_wait(ended, -1, NULL) == PROCS_OK);
    procs_spawn_options o = CHILD("exit", "0");
    o.process_group = procs_child_pid(ended); /* a group that is gone */
    refused(o, PROCS_E_PERMISSION_DENIED, "process-group", EPERM);
    CHECK(procs_child_free(ended) == PROCS_OK);
    uint32_t cpu = 8191;
    o = CHILD("exit", "0");
    o.cpus = &cpu;
    o.cpu_count = 1;
    refused(o, PROCS_E_INVALID_ARGUMENT, "affinity", EINVAL);
    o = CHILD("exit", "0");
    o.stdin_from.kind = PROCS_STDIO_NULL;
    o.controlling_tty = 0;
    refused(o, PROCS_E_IO, "terminal", ENOTTY);
    char *line = malloc(400);
    snprintf(line, 400, "#!/%0300d\n", 0);
    make_file("long", line, 0755); /* an interpreter with a name of 300 bytes */
    free(line);
    procs_child *child;
    o = options_for((const char *const[]){in_folder("long"), NULL});
    CHECK(procs_spawn(&o, &child) != PROCS_OK && strcmp(procs_last_error_stage(), "exec") == 0);
    /* A setuid program dies with its host all the same, as far as the kernel lets it: it is started. */
    const char *copy = in_folder("setuid");
    prints(options_for((const char *const[]){"cp", helper(), copy, NULL}), "", 0);
    CHECK(chmod(copy, 04755) == 0);
    o = options_for((const char *const[]){copy, "exit", "7", NULL});
    o.die_with_parent = 1;
    exits(o, 7);
}

static void descriptors(void) {
    const int bad[] = {-1, 999999, INT32_MAX};
    procs_child *child;
    procs_spawn_options o = CHILD("exit", "0");
    procs_extra_fd extra[2] = {{9, 0, {PROCS_STDIO_INHERIT, 0, NULL}}, {9, 0, {PROCS_STDIO_NULL, 0, NULL}}};
    for (int i = 0; i < 3; i++) {
        o.stdin_from = (procs_stdio){PROCS_STDIO_FD, bad[i], NULL};
        procs_status status = procs_spawn(&o, &child);
        CHECK(status == PROCS_E_INVALID_ARGUMENT || (status == PROCS_E_IO && procs_last_error_os() == EBADF));
    }
    /* To inherit what is not open; twice the same number; one beyond the limit. */
    o = CHILD("exit", "0");
    o.extra_fds = extra;
    o.extra_fd_count = 1;
    refused(o, PROCS_E_IO, "stdio", EBADF);
    extra[0] = (procs_extra_fd){INT32_MAX, 0, {PROCS_STDIO_NULL, 0, NULL}};
    refused(o, PROCS_E_IO, "descriptors", EBADF);
    extra[0].child_fd = 9;
    o.extra_fd_count = 2;
    procs_status twice = procs_spawn(&o, &child);
    CHECK(twice == PROCS_E_INVALID_ARGUMENT || twice == PROCS_OK);
    if (twice == PROCS_OK) end_of(child); /* the last counts */
    /* A folder and a path-only descriptor: the child gets them as they are. */
    int here = open("/", O_RDONLY | O_CLOEXEC), path = open("/", O_PATH | O_CLOEXEC);
    extra[0] = (procs_extra_fd){3, 0, {PROCS_STDIO_FD, here, NULL}};
    extra[1] = (procs_extra_fd){4, 0, {PROCS_STDIO_FD, path, NULL}};
    o = CHILD("fds");
    o.extra_fds = extra;
    o.extra_fd_count = 2;
    CHECK(strstr(printed(o), "\n3 /\n4 /\n") != NULL && close(here) == 0 && close(path) == 0);
    o = CHILD("exit", "0");
    o.stdin_from = (procs_stdio){PROCS_STDIO_READ_FILE, 0, in_folder("missing")};
    refused(o, PROCS_E_NOT_FOUND, "stdio", ENOENT);
}

/* Whatever number a descriptor of the library has in the host, the child may want it for itself. */
static void numbers(void) {
    for (int first = 3; first < (under_valgrind() ? 10 : 40); first++) {
        procs_extra_fd two[] = {{first, 0, {PROCS_STDIO_PIPE, 0, NULL}}, {first + 1, 0, {PROCS_STDIO_NULL, 0, NULL}}};
        procs_spawn_options o = CHILD("fds");
        char last[32];
        int lines = 0;
        o.extra_fds = two;
        o.extra_fd_count = 2;
        const char *text = printed(o);
        for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
        snprintf(last, sizeof last, "\n%d /dev/null\n", first + 1);
        CHECK(lines == 5 && strstr(text, last) != NULL);
    }
}

static void places(void) {
    const char *gone = in_folder("gone"), *disk = in_folder("disk");
    CHECK(mkdir(gone, 0755) == 0 && chdir(gone) == 0 && rmdir(gone) == 0);
    /* The host's own folder is gone: that matters only where it is needed. */
    exits(CHILD("exit", "0"), 0);
    procs_spawn_options o = CHILD("exit", "0");
    o.cwd = gone;
    refused(o, PROCS_E_NOT_FOUND, "directory", ENOENT);
    o = options_for((const char *const[]){"./tool", NULL});
    o.cwd = "/";
    refused(o, PROCS_E_NOT_FOUND, "prepare", ENOENT);
    CHECK(chdir("/") == 0);
    CHECK(mkdir(disk, 0755) == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("tmpfs", disk, "tmpfs", MS_NOEXEC, "size=64k") == 0);
    make_file("disk/tool", "#!/bin/sh\n", 0755);
    refused(options_for((const char *const[]){in_folder("disk/tool"), NULL}), PROCS_E_PERMISSION_DENIED, "exec", EACCES);
    CHECK(umount(disk) == 0);
}

static void timeouts(void) {
    procs_spawn_options o = CHILD("sleep", "60");
    procs_output *output;
    procs_stop_options stop;
    procs_stop_report report = {.size = sizeof report};
    o.timeout_ms = 0;
    output = run(o);
    CHECK(procs_output_timed_out(output) && procs_output_free(output) == PROCS_OK);
    o = CHILD("exit", "7");
    o.timeout_ms = o.grace_ms = o.drain_grace_ms = o.drain_after_exit_ms = INT64_MAX;
    output = run(o);
    CHECK(!procs_output_timed_out(output) && procs_output_free(output) == PROCS_OK);
    procs_child *child = start(CHILD("exit", "7"));
    CHECK(procs_child_wait(child, INT64_MAX, NULL) == PROCS_OK && procs_child_free(child) == PROCS_OK);
    /* A grace longer than the timeout: the timeout begins the ladder, the grace is given. */
    o = CHILD("sleep", "60");
    o.timeout_ms = 50;
    o.grace_ms = 20000;
    output = run(o);
    procs_exit_status status = {.size = sizeof status};
    CHECK(procs_output_status(output, &status) == PROCS_OK && status.signal == SIGTERM && procs_output_free(output) == PROCS_OK);
    CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
    stop.grace_ms = INT64_MAX;
    child = start(CHILD("sleep", "60"));
    CHECK(procs_child_stop(child, &stop, &report) == PROCS_OK && report.exit_signal == SIGTERM && procs_child_free(child) == PROCS_OK);
}

static void late(void) {
    static const int signals[] = {0, 1, SIGCONT, SIGKILL, 64};
    procs_child *ended = start(CHILD("exit", "7")), *sleeper = start(CHILD("sleep", "60"));
    procs_exit_status status = {.size = sizeof status};
    size_t index;
    for (int i = 0; i < 3; i++) {
        CHECK(procs_child_wait(ended, -1, &status) == PROCS_OK && status.code == 7);
        CHECK(procs_child_try_wait(ended, &status) == PROCS_OK && status.code == 7);
    }
    for (int i = 0; i < 5; i++) CHECK(procs_child_send_signal(ended, signals[i]) == PROCS_E_NOT_FOUND && procs_last_error_os() == ESRCH);
    CHECK(procs_child_kill(ended) == PROCS_OK);
    CHECK(procs_wait_any(NULL, 0, 0, &index) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_child_send_signal(sleeper, 0) == PROCS_OK && procs_child_send_signal(sleeper, SIGCONT) == PROCS_OK);
    const procs_child *const all[] = {sleeper, sleeper, ended};
    CHECK(procs_wait_any(all, 3, -1, &index) == PROCS_OK && index == 2);
    CHECK(procs_child_free(ended) == PROCS_OK);
    kill_it(sleeper);
}

static void copy(void) {
    procs_spawn_options o = CHILD("sleep", "60");
    o.kill_on_free = 1;
    procs_child *sleeper = start(o);
    pid_t pid = fork();
    if (pid == 0) {
        procs_stop_report report = {.size = sizeof report};
        int wrong = procs_child_kill(sleeper) != PROCS_E_INVALID_STATE;
        wrong |= (procs_child_wait(sleeper, 0, NULL) != PROCS_E_INVALID_STATE) << 1;
        wrong |= (procs_child_stop(sleeper, NULL, &report) != PROCS_E_INVALID_STATE) << 2;
        exits(CHILD("exit", "7"), 7); /* its own children it can have */
        procs_child_free(sleeper);    /* must not kill the host's child */
        _exit(wrong);
    }
    CHECK(end_of_host(pid) == 0);
    CHECK(procs_child_try_wait(sleeper, NULL) == PROCS_E_WOULD_BLOCK);
    kill_it(sleeper);
}

static atomic_int forking;

static void make_handle(void) {
    procs_message *message;
    CHECK(procs_message_new(PROCS_CODEC_RAW, "x", 1, &message) == PROCS_OK && procs_message_free(message) == PROCS_OK);
}

static void *make_handles(void *unused) {
    (void)unused;
    while (forking) make_handle();
    return NULL;
}

/* A copy that was made while other threads were inside the library hangs in nothing that they held. */
static void copy_busy(void) {
    pthread_t threads[2];
    forking = 1;
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, make_handles, NULL) == 0);
    for (int i = 0; i < times(2000); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(60);
            make_handle();
            if (i % 20 == 0) exits(CHILD("exit", "7"), 7);
            _exit(0);
        }
        CHECK(end_of_host(pid) == 0);
    }
    forking = 0;
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void *read_all(void *child) {
    char buffer[1000];
    size_t n = 1, total = 0;
    while (n > 0) {
        CHECK(procs_child_read(child, 1, 20000, buffer, sizeof buffer, &n) == PROCS_OK);
        total += n;
    }
    return (void *)(uintptr_t)total;
}

static void streams(void) {
    char byte;
    size_t n = 7;
    procs_lines *lines;
    procs_spawn_options o = CHILD("cat");
    o.stdin_from.kind = o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *cat = start(o);
    REFUSED(procs_child_read(cat, 1, 0, &byte, 0, &n));
    REFUSED(procs_child_read(cat, 1, 0, &byte, SIZE_MAX, &n));
    REFUSED(procs_child_read(cat, 0, 0, &byte, 1, &n));
    REFUSED(procs_child_read(cat, 3, 0, &byte, 1, &n));
    REFUSED(procs_child_write(cat, &byte, SIZE_MAX, 0, &n));
    CHECK(procs_child_read(cat, 2, 0, &byte, 1, &n) == PROCS_E_INVALID_STATE);
    CHECK(procs_child_write(cat, "x", 0, 0, &n) == PROCS_OK ? n == 0 : procs_last_error() == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_child_close_stdin(cat) == PROCS_OK && procs_child_close_stdin(cat) == PROCS_OK);
    CHECK(procs_child_write(cat, "x", 1, 0, &n) == PROCS_E_INVALID_STATE);
    for (int i = 0; i < 3; i++) CHECK(procs_child_read(cat, 1, 20000, &byte, 1, &n) == PROCS_OK && n == 0);
    CHECK(procs_lines_new(cat, 1, 0, &lines) == PROCS_OK && procs_lines_new(cat, 1, 0, &lines) == PROCS_E_INVALID_STATE);
    CHECK(procs_lines_free(lines) == PROCS_OK && end_of(cat).code == 0);
    /* Two readers of one stream share what arrives. */
    pthread_t readers[2];
    void *first, *second;
    o = CHILD("flood", "500000", "1");
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *flood = start(o);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&readers[i], NULL, read_all, flood) == 0);
    CHECK(pthread_join(readers[0], &first) == 0 && pthread_join(readers[1], &second) == 0);
    CHECK((uintptr_t)first + (uintptr_t)second == 500000 && end_of(flood).code == 0);
}

static int64_t claims_too_much(char *buffer, size_t capacity, void *left) {
    (void)buffer;
    return --*(int *)left > 0 ? (int64_t)capacity * 2 : 0;
}

static void limits(void) {
    for (int policy = PROCS_LIMIT_ERROR; policy <= PROCS_LIMIT_SPILL; policy++) {
        if (policy == PROCS_LIMIT_NONE) continue;
        procs_spawn_options o = CHILD("echo", "hello");
        procs_stream_report report = {.size = sizeof report};
        size_t len;
        o.stdout_limit = (procs_output_limit){policy, 0, 0};
        procs_output *output = run(o);
        CHECK(procs_output_stream_report(output, 1, &report) == PROCS_OK && report.truncated);
        procs_output_stdout(output, &len);
        CHECK(len == 0 && procs_output_free(output) == PROCS_OK);
        o.stdout_limit.bytes = UINT64_MAX;
        prints(o, "hello\n", 6);
    }
    procs_spawn_options o = CHILD("count");
    procs_output *output;
    size_t len;
    int left = 2;
    o.input_callback = claims_too_much;
    o.input_user_data = &left;
    /* Held to the buffer, or refused. */
    if (procs_run(&o, &output) == PROCS_OK) CHECK(procs_output_stdout(output, &len) != NULL && len == 6 && procs_output_free(output) == PROCS_OK);
    o = CHILD("cat");
    o.input = "x";
    o.input_len = 1;
    o.stdin_from.kind = PROCS_STDIO_NULL; /* given twice */
    REFUSED(procs_run(&o, &output));
}
