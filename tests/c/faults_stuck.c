/* Children that do not end, calls that are interrupted, clocks that jump, kernels that lack something, pipelines half built. */
#define ROWS(ROW)                                                                                                                   \
    ROW(b14, "B14", "a child that SIGKILL does not end", PLAIN, NULL)                                                               \
    ROW(b14_run, "B14", "a run gives up on it", PLAIN, NULL)                                                                        \
    ROW(b16, "B16", "signals interrupt every call", ANYWHERE, NULL)                                                                 \
    ROW(b16_each, "B16", "every blocking call may be interrupted", PLAIN, NULL)                                                     \
    ROW(b17, "B17", "deadlines do not follow the wall clock", ANYWHERE, NULL)                                                       \
    ROW(a23, "A23", "all goes on without close_range", PLAIN, "close_range:error=ENOSYS")                                           \
    ROW(a23_open, "A23", "without pidfd_open", PLAIN, "pidfd_open:error=EPERM")                                                     \
    ROW(a23_signal, "A23", "without pidfd_send_signal", PLAIN, "pidfd_send_signal:error=ENOSYS")                                    \
    ROW(a23_filtered, "A23", "with pidfd_send_signal filtered", PLAIN, "pidfd_send_signal:error=EPERM")                             \
    ROW(a23_clone, "A23", "without clone3", PLAIN, "clone3:error=ENOSYS")                                                           \
    ROW(a23_none, "A23", "without any of them", PLAIN,                                                                              \
        "clone3:error=ENOSYS close_range:error=ENOSYS pidfd_open:error=ENOSYS pidfd_send_signal:error=ENOSYS openat2:error=ENOSYS") \
    ROW(a23_fork, "A23", "where memory may not be shared", PLAIN, NULL)                                                             \
    ROW(a28, "A28", "a half-built pipeline is taken down", NOT_VALGRIND, NULL)
#include "inject.h"
#include <sys/time.h>

static void write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static char freezer[200];

/* Puts a process where no signal reaches it, with a cgroup v1 freezer (root). */
static void freeze(int pid) {
    char path[300], word[16];
    snprintf(freezer, sizeof freezer, "/sys/fs/cgroup/freezer/procs-test-%s", cookie);
    CHECK(mkdir(freezer, 0755) == 0);
    snprintf(path, sizeof path, "%s/cgroup.procs", freezer);
    snprintf(word, sizeof word, "%d", pid);
    write_text(path, word);
    snprintf(path, sizeof path, "%s/freezer.state", freezer);
    write_text(path, "FROZEN");
    WAIT_UNTIL(strncmp(text_of(path), "FROZEN", 6) == 0);
}

static void thaw(void) {
    char path[300];
    snprintf(path, sizeof path, "%s/freezer.state", freezer);
    write_text(path, "THAWED");
    WAIT_UNTIL(rmdir(freezer) == 0); /* busy as long as its member is */
}

static void b14(void) {
    procs_spawn_options o = CHILD("sleep", "60");
    procs_stop_step kill_step = {PROCS_STOP_KILL, 0, 200};
    procs_stop_options stop;
    procs_stop_report report = {.size = sizeof report};
    CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
    stop.steps = &kill_step;
    stop.step_count = 1;
    o.kill_on_free = 1;
    procs_child *stuck = start(o);
    freeze(procs_child_pid(stuck));
    double began = now_ms();
    procs_status killed = procs_child_kill(stuck), waited = procs_child_wait(stuck, 200, NULL), stopped = procs_child_stop(stuck, &stop, &report);
    procs_status freed = procs_child_free(stuck);
    double took = now_ms() - began;
    thaw(); /* before anything may fail: nothing else could end it */
    CHECK(killed == PROCS_OK && waited == PROCS_E_TIMEOUT && stopped == PROCS_OK && report.exit_kind == PROCS_EXIT_NONE && freed == PROCS_OK);
    CHECK(took < 20000);
}

static _Atomic int given_up;

/* When it has been given up, or after 20 s. */
static void *thaw_late(void *unused) {
    for (int i = 0; i < 4000 && !given_up; i++) poll(NULL, 0, 5);
    thaw();
    return unused;
}

static void b14_run(void) {
    procs_spawn_options o = CHILD("sleep", "60");
    procs_capture *capture;
    procs_child *child;
    procs_output *output;
    procs_exit_status status = {.size = sizeof status};
    pthread_t thread;
    o.timeout_ms = 300;
    CHECK(procs_capture_start(&o, &capture) == PROCS_OK && procs_capture_child(capture, &child) == PROCS_OK);
    freeze(procs_child_pid(child));
    in_threads(1, thaw_late, &thread);
    double began = now_ms();
    procs_status finished = procs_capture_finish(capture, &output);
    double took = now_ms() - began;
    given_up = 1;
    join(1, &thread); /* before anything may fail: nothing else could end it */
    CHECK(finished == PROCS_OK && took < 19000);
    CHECK(procs_output_timed_out(output) && procs_output_status(output, &status) == PROCS_OK && status.kind != PROCS_EXIT_CODE);
    CHECK(procs_output_free(output) == PROCS_OK && procs_capture_free(capture) == PROCS_OK && procs_child_free(child) == PROCS_OK);
}

static _Atomic long ticks;

static void tick(int signal) {
    (void)signal;
    ticks++;
}

/* One of everything that blocks. */
static void battery(void) {
    static char input[300000];
    procs_spawn_options o = CHILD("cat");
    procs_exit_status status = {.size = sizeof status};
    size_t len;
    o.input = input;
    o.input_len = sizeof input;
    procs_output *output = run(o);
    CHECK(procs_output_stdout(output, &len) != NULL && len == sizeof input && procs_output_success(output) && procs_output_free(output) == PROCS_OK);
    exits(CHILD("exit", "7"), 7);
    CHECK(end_of(start(CHILD("die", "TERM"))).signal == SIGTERM);

    o = CHILD("lines", "20");
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *child = start(o);
    procs_lines *lines;
    const char *line;
    int number = 0;
    CHECK(procs_lines_new(child, 1, 0, &lines) == PROCS_OK);
    while (procs_lines_next(lines, 20000, &line, &len) == PROCS_OK && line != NULL) number++;
    CHECK(number == 20 && procs_lines_free(lines) == PROCS_OK && end_of(child).code == 0);

    child = start(CHILD("sleep", "60"));
    double began = now_ms();
    CHECK(procs_child_wait(child, 100, &status) == PROCS_E_TIMEOUT && now_ms() - began >= 100 && now_ms() - began < 20000);
    CHECK(procs_child_send_signal(child, SIGTERM) == PROCS_OK && end_of(child).signal == SIGTERM);

    o = CHILD("grandchild-wait", "60");
    o.timeout_ms = 300;
    o.kill_tree = 1;
    output = run(o);
    CHECK(procs_output_timed_out(output) && procs_output_free(output) == PROCS_OK);
    WAIT_UNTIL(holders("hold") == 0);
    o = CHILD("exit", "0");
    o.die_with_parent = 1;
    exits(o, 0);
    o = CHILD("exit", "0");
    static const uint32_t none = 0;
    o.groups = &none;
    exits(o, 0);
}

static void b16(void) {
    struct sigaction action = {.sa_handler = tick};
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int round = 0; round < times(20); round++) battery();
    /* The handler stays: valgrind delivers the last tick later. */
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(ticks > 50);
}

static void b16_each(void) {
    static char input[300000];
    static const char *const fed[] = {"ppoll", "waitid", "read", "write"}, *const started[] = {"clone3", "pipe2", "waitid"};
    for (int i = 0; i < 4; i++) {
        char rule[64];
        procs_spawn_options o = CHILD("cat");
        procs_capture *capture;
        procs_output *output;
        size_t len;
        o.input = input;
        o.input_len = sizeof input;
        o.timeout_ms = 20000;
        /* The child is there before the injection begins, so that only the host is interrupted. */
        CHECK(procs_capture_start(&o, &capture) == PROCS_OK);
        snprintf(rule, sizeof rule, "%s:error=EINTR:when=1+2", fed[i]);
        inject(rule, NULL);
        procs_status status = procs_capture_finish(capture, &output);
        CHECK(end_injection());
        CHECK(status == PROCS_OK && procs_output_success(output) && procs_output_stdout(output, &len) != NULL && len == sizeof input);
        CHECK(procs_output_free(output) == PROCS_OK && procs_capture_free(capture) == PROCS_OK);
    }
    for (int i = 0; i < 3; i++) {
        char rule[64];
        procs_spawn_options o = CHILD("exit", "7");
        o.stdout_to.kind = PROCS_STDIO_PIPE;
        snprintf(rule, sizeof rule, "%s:error=EINTR:when=1+2", started[i]);
        inject(rule, NULL);
        exits(o, 7);
        CHECK(end_injection());
    }
}

/* Stands in for the C library's function, for everything in this process: the wall clock jumps by ten days at each look. */
static _Atomic int jumping;
static _Atomic long looks;

int clock_gettime(clockid_t clock, struct timespec *time) {
    long result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && jumping && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += looks++ % 2 == 0 ? 864000 : -864000;
    return (int)result;
}

#define TAKES_300_MS(call)                                        \
    do {                                                          \
        double began = now_ms();                                  \
        CHECK(call);                                              \
        CHECK(now_ms() - began >= 299 && now_ms() - began < 20000); \
    } while (0)

static void b17(void) {
    procs_spawn_options o = CHILD("sleep", "60"), timed = o;
    procs_output *output;
    procs_stop_step wait_step = {PROCS_STOP_WAIT, 0, 300};
    procs_stop_options stop;
    procs_stop_report report = {.size = sizeof report};
    procs_usage usage = {.size = sizeof usage};
    size_t index;
    jumping = 1;
    timed.timeout_ms = 300;
    TAKES_300_MS(procs_run(&timed, &output) == PROCS_OK && procs_output_timed_out(output));
    CHECK(procs_output_usage(output, &usage) == PROCS_OK && usage.wall_time_us >= 299000 && usage.wall_time_us < 20000000);
    CHECK(procs_output_free(output) == PROCS_OK);
    procs_child *child = start(o);
    TAKES_300_MS(procs_child_wait(child, 300, NULL) == PROCS_E_TIMEOUT);
    TAKES_300_MS(procs_wait_any((const procs_child *const[]){child}, 1, 300, &index) == PROCS_E_TIMEOUT);
    CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
    stop.steps = &wait_step;
    stop.step_count = 1;
    TAKES_300_MS(procs_child_stop(child, &stop, &report) == PROCS_OK && report.exit_kind == PROCS_EXIT_NONE);
    kill_it(child);
    CHECK(looks > 0); /* start times are wall-clock times: else the row proves nothing */
    jumping = 0;
}

static const char *clone_level(void) {
    static procs_engine_info info;
    info.size = sizeof info;
    CHECK(procs_engine(&info) == PROCS_OK);
    return info.clone_level;
}

/* Without one thing or the other: the same answers. */
static void a23(void) {
    battery();
    prints(CHILD("echo", "hello"), "hello\n", 6);
    refused(options_for((const char *const[]){"/missing/program", NULL}), PROCS_E_NOT_FOUND, "exec", ENOENT);
    procs_spawn_options o = CHILD("exit", "0");
    o.cwd = "/missing";
    refused(o, PROCS_E_NOT_FOUND, "directory", ENOENT);
    int foreign = dup(0), lines = 0; /* may be inherited, and is not */
    const char *text = printed(CHILD("fds"));
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
    CHECK(lines == 3 && close(foreign) == 0);
    text = printed(CHILD("mask"));
    CHECK(strstr(text, "SigBlk: 0000000000000000\nSigIgn: 0000000000000000\n") != NULL);
    o = CHILD("sleep", "60");
    o.kill_on_free = 1;
    CHECK(procs_child_free(start(o)) == PROCS_OK);
}

static void a23_open(void) { a23(); }
static void a23_signal(void) { a23(); }
static void a23_filtered(void) { a23(); }

static void a23_clone(void) {
    CHECK(strcmp(clone_level(), "clone") == 0);
    a23();
}

static void a23_none(void) { a23_clone(); }

static void a23_fork(void) {
    inject("clone3:error=EPERM clone:error=EINVAL:when=1", NULL);
    exits(CHILD("exit", "0"), 0);
    end_injection();
    CHECK(strcmp(clone_level(), "fork") == 0);
    a23();
}

static void a28(void) {
    for (int round = 0; round < times(100); round++) {
        procs_pipeline *pipeline;
        procs_pipeline_output *output;
        procs_child *children[3];
        procs_spawn_options first = CHILD("sleep", "60"), second = CHILD("cat"), third = options_for((const char *const[]){"/missing/third", NULL});
        CHECK(procs_pipeline_new(NULL, &pipeline) == PROCS_OK && procs_pipeline_add(pipeline, &first) == PROCS_OK);
        CHECK(procs_pipeline_add(pipeline, &second) == PROCS_OK && procs_pipeline_add(pipeline, &third) == PROCS_OK);
        procs_status status = round % 2 == 0 ? procs_pipeline_run(pipeline, &output) : procs_pipeline_spawn(pipeline, children, 3);
        CHECK(status == PROCS_E_NOT_FOUND && procs_last_error_os() == ENOENT && strcmp(procs_last_error_stage(), "exec") == 0);
        CHECK(strstr(procs_last_error_message(), "/missing/third") != NULL && strchr(procs_last_error_message(), '3') != NULL);
        CHECK(procs_pipeline_free(pipeline) == PROCS_OK);
        wait_for_no_children();
    }
}
