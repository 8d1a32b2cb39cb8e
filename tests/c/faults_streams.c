/* Streams that fill, stay open, close early, have no end, or belong to a terminal or a full disk. */
#define ROWS(ROW)                                                                                              \
    ROW(c01, "C01", "all pipes full at once", ANYWHERE, NULL)                                                  \
    ROW(c02, "C02", "children that wait for each other", ANYWHERE, NULL)                                       \
    ROW(c03, "C03", "a grandchild keeps the stream", ANYWHERE, NULL)                                           \
    ROW(c04, "C04", "what was written before the exit arrives", ANYWHERE, NULL)                                \
    ROW(c05, "C05", "output without end meets its limit", ANYWHERE, NULL)                                      \
    ROW(c05_default, "C05", "the default is a limit, and little memory is used", PLAIN, NULL)                  \
    ROW(c05_deaf, "C05", "a writer that ignores SIGTERM is killed", ANYWHERE, NULL)                            \
    ROW(c06, "C06", "limits are exact", ANYWHERE, NULL)                                                        \
    ROW(c07, "C07", "a slow reader slows the child", PLAIN, NULL)                                              \
    ROW(c11, "C11", "a dead reader does not kill the host", ANYWHERE, NULL)                                    \
    ROW(c12, "C12", "nobody waits for the keyboard", ANYWHERE, NULL)                                           \
    ROW(c13, "C13", "a background child of a terminal is not stopped in its own session", NOT_VALGRIND, NULL)  \
    ROW(c14, "C14", "small pipes are enough", PLAIN, NULL)                                                     \
    ROW(c14_large, "C14", "large output comes unchanged, whatever splice says", PLAIN, NULL)                   \
    ROW(c15, "C15", "merged streams keep their order", ANYWHERE, NULL)                                         \
    ROW(c16, "C16", "a full disk is the child's problem, a sink's is told", PLAIN, NULL)                       \
    ROW(c16_limit, "C16", "a size limit is the child's alone", ANYWHERE, NULL)                                 \
    ROW(host_of_a_job, "C13", "", HOST, NULL)
#include "terminal.h"
#include "inject.h"
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

static char megabytes[5000000];

static procs_stream_report report_of(const procs_output *output, int stream) {
    procs_stream_report report = {.size = sizeof report};
    CHECK(procs_output_stream_report(output, stream, &report) == PROCS_OK);
    return report;
}

/* 200 KB to stderr, then to stdout, and only then 5 MB are read: in any fixed order of reading and writing both sides wait for ever. */
static void crossed_streams(int rounds) {
    for (int round = 0; round < rounds; round++) {
        procs_spawn_options o = CHILD("stderr-then-stdout", "200000", "10", "200000");
        size_t out, err;
        o.input = megabytes;
        o.input_len = sizeof megabytes;
        procs_output *output = run(o);
        CHECK(procs_output_stderr(output, &err) != NULL && err == 200000 && procs_output_success(output));
        const char *text = procs_output_stdout(output, &out);
        CHECK(out == 200010 + strlen("read 5000000\n") && memcmp(text + out - 13, "read 5000000\n", 13) == 0);
        CHECK(procs_output_free(output) == PROCS_OK);
    }
}

static void c01(void) {
    crossed_streams(times(40));
    /* Through a capture that is run in slices. */
    for (int round = 0; round < times(40); round++) {
        procs_spawn_options o = CHILD("flood", "300000", "both", "1000");
        procs_capture *capture;
        procs_output *output;
        size_t out, err;
        o.input = megabytes;
        o.input_len = sizeof megabytes;
        CHECK(procs_capture_start(&o, &capture) == PROCS_OK);
        while (procs_capture_run(capture, 1) != PROCS_OK) CHECK(procs_last_error() == PROCS_E_TIMEOUT);
        CHECK(procs_capture_finish(capture, &output) == PROCS_OK);
        CHECK(procs_output_stdout(output, &out) != NULL && procs_output_stderr(output, &err) != NULL && out == 300000 && err == 300000);
        CHECK(procs_output_free(output) == PROCS_OK && procs_capture_free(capture) == PROCS_OK);
    }
}

static void c02(void) {
    for (int round = 0; round < times(30); round++) {
        procs_spawn_options first = CHILD("wait-file", in_folder("file")), second = options_for(NULL);
        procs_output *outputs[2];
        char command[1200];
        int statuses[2];
        size_t first_len, second_len;
        snprintf(command, sizeof command, "%s flood 1000000 1 && %s touch %s", helper(), helper(), in_folder("file"));
        second.shell = command;
        CHECK(procs_run_many((const procs_spawn_options *const[]){&first, &second}, 2, 2, outputs, statuses, NULL, NULL) == PROCS_OK);
        CHECK(statuses[0] == PROCS_OK && statuses[1] == PROCS_OK);
        procs_output_stdout(outputs[0], &first_len);
        procs_output_stdout(outputs[1], &second_len);
        CHECK(first_len == 0 && second_len == 1000000 && procs_output_free(outputs[0]) == PROCS_OK && procs_output_free(outputs[1]) == PROCS_OK);
        unlink(in_folder("file"));
    }
}

/* Runs it while a grandchild holds the stream: always "hi", and these answers after this time. */
static void held(procs_spawn_options o, int left_open, int timed_out, double least) {
    size_t len;
    double began = now_ms();
    procs_output *output = run(o);
    double took = now_ms() - began;
    if (took < least || took > least + 20000) fprintf(stderr, "   took %.0f ms\n", took);
    CHECK(took >= least && took <= least + 20000); /* the grandchild holds it for 30 s */
    const char *text = procs_output_stdout(output, &len);
    CHECK(len == 3 && memcmp(text, "hi\n", 3) == 0);
    CHECK(procs_output_pipes_left_open(output) == left_open && procs_output_timed_out(output) == timed_out && procs_output_free(output) == PROCS_OK);
}

static void c03(void) {
    procs_spawn_options o = CHILD("grandchild", "30", in_folder("stop"));
    o.drain_after_exit_ms = 1000;
    held(o, 1, 0, 1000);
    o.drain_after_exit_ms = 0;
    held(o, 1, 0, 0);
    o.drain_after_exit_ms = -1;
    o.timeout_ms = slowly(2000); /* time for its word */
    held(o, 1, 1, slowly(2000));
    make_file("stop", "", 0644);
    WAIT_UNTIL(holders(NULL) == 0);
    unlink(in_folder("stop"));
    o = CHILD("grandchild-wait", "30", in_folder("stop"));
    o.timeout_ms = slowly(2000);
    o.kill_tree = 1;
    held(o, 0, 1, slowly(2000));
}

static void c04(void) {
    for (int round = 0; round < times(100); round++) {
        procs_spawn_options o = CHILD("flood", "1048576", "1");
        procs_capture *capture;
        procs_output *output;
        size_t len;
        if (round % 3 == 0) {
            output = run(o);
        } else {
            o.stdout_to.kind = PROCS_STDIO_PIPE;
            if (round % 3 == 1) o.pipe_size = 1 << 20;
            procs_child *child = start(o);
            /* The pipe holds all: the child is gone before the first read. */
            if (round % 3 == 1) CHECK(procs_child_wait(child, 20000, NULL) == PROCS_OK);
            CHECK(procs_child_capture(child, &capture) == PROCS_OK && procs_child_free(child) == PROCS_OK);
            while (procs_capture_run(capture, 1) != PROCS_OK) sched_yield();
            CHECK(procs_capture_finish(capture, &output) == PROCS_OK && procs_capture_free(capture) == PROCS_OK);
        }
        CHECK(procs_output_stdout(output, &len) != NULL && len == 1 << 20 && report_of(output, 1).total_bytes == 1 << 20);
        CHECK(procs_output_success(output) && !report_of(output, 1).truncated && procs_output_free(output) == PROCS_OK);
    }
}

static void c05(void) {
    for (int policy = PROCS_LIMIT_ERROR; policy <= PROCS_LIMIT_TAIL; policy++) {
        procs_spawn_options o = options_for((const char *const[]){"yes", NULL});
        procs_exit_status status = {.size = sizeof status};
        size_t len;
        if (policy == PROCS_LIMIT_NONE) continue;
        o.stdout_limit = (procs_output_limit){policy, 0, 1 << 20};
        o.timeout_ms = policy == PROCS_LIMIT_ERROR ? slowly(20000) : 1000;
        procs_output *output = run(o);
        procs_stream_report report = report_of(output, 1);
        /* On a machine that stands still a second may not be enough for a mebibyte. */
        while (report.total_bytes <= 1 << 20 && o.timeout_ms < 20000) {
            CHECK(procs_output_free(output) == PROCS_OK);
            o.timeout_ms *= 4;
            output = run(o);
            report = report_of(output, 1);
        }
        CHECK(procs_output_stdout(output, &len) != NULL && len == 1 << 20 && report.truncated && report.total_bytes > 1 << 20);
        CHECK(report.limit_exceeded == (policy == PROCS_LIMIT_ERROR) && procs_output_timed_out(output) == (policy != PROCS_LIMIT_ERROR));
        CHECK(procs_output_status(output, &status) == PROCS_OK && status.kind == PROCS_EXIT_SIGNAL);
        if (policy == PROCS_LIMIT_ERROR) CHECK(procs_output_check(output) == PROCS_E_TOO_LARGE);
        CHECK(procs_output_free(output) == PROCS_OK);
    }
}

static void c05_default(void) {
    procs_spawn_options o = options_for((const char *const[]){"yes", NULL});
    size_t len;
    procs_output *output = run(o);
    CHECK(procs_output_stdout(output, &len) != NULL && len == 64 << 20 && report_of(output, 1).limit_exceeded && procs_output_free(output) == PROCS_OK);
    long before = rss_bytes();
    o.stdout_limit = (procs_output_limit){PROCS_LIMIT_TAIL, 0, 1 << 20};
    o.timeout_ms = 500;
    CHECK(procs_output_free(run(o)) == PROCS_OK);
    CHECK(rss_bytes() - before <= 8 << 20);
}

static void c05_deaf(void) {
    procs_spawn_options o = options_for(NULL);
    procs_exit_status status = {.size = sizeof status};
    o.shell = "trap '' TERM; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done";
    o.stdout_limit = (procs_output_limit){PROCS_LIMIT_ERROR, 0, 1000};
    o.grace_ms = 300;
    double began = now_ms();
    procs_output *output = run(o);
    CHECK(now_ms() - began >= 300 && now_ms() - began < 20000);
    CHECK(procs_output_status(output, &status) == PROCS_OK && status.signal == SIGKILL && procs_output_free(output) == PROCS_OK);
}

static void c06(void) {
    static const size_t limits[] = {0, 1, 4095, 65536, 65537, 1 << 20};
    enum { WRITTEN = 2 << 20 };
    for (int round = 0; round < times(10); round++) {
        for (size_t i = 0; i < 12; i++) {
            for (int policy = PROCS_LIMIT_ERROR; policy <= PROCS_LIMIT_SPILL; policy++) {
                char word[16];
                size_t len, limit = limits[i % 6], written = i < 6 ? WRITTEN : limit, first = policy == PROCS_LIMIT_TAIL ? written - limit : 0;
                if (policy == PROCS_LIMIT_NONE || (under_valgrind() && i % 2 == 1)) continue;
                snprintf(word, sizeof word, "%zu", written);
                procs_spawn_options o = CHILD("flood", word, "1");
                o.stdout_limit = (procs_output_limit){policy, 0, limit};
                procs_output *output = run(o);
                procs_stream_report report = report_of(output, 1);
                const char *text = procs_output_stdout(output, &len);
                CHECK(len == limit && report.truncated == (written > limit));
                CHECK(report.limit_exceeded == (written > limit && policy == PROCS_LIMIT_ERROR));
                CHECK(report.spilled == (written > limit && policy == PROCS_LIMIT_SPILL));
                for (size_t at = 0; at < len; at++)
                    if (text[at] != 'a' + (char)((first + at) % 26)) CHECK(!"the bytes that were written");
                if (report.spilled) {
                    struct stat info;
                    CHECK(fstat(procs_output_spill_fd(output, 1), &info) == 0 && info.st_size == WRITTEN);
                }
                CHECK(procs_output_free(output) == PROCS_OK);
            }
        }
    }
}

static void c07(void) {
    size_t total = (size_t)times(256) << 20, position = 0, n = 1;
    static char block[1 << 16];
    char word[32];
    int unread = 0;
    snprintf(word, sizeof word, "%zu", total);
    procs_spawn_options o = CHILD("flood", word, "1");
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *child = start(o);
    long before = rss_bytes();
    WAIT_UNTIL(ioctl(procs_child_stream_fd(child, 1), FIONREAD, &unread) == 0 && unread >= 60000);
    CHECK(procs_child_wait(child, 500, NULL) == PROCS_E_TIMEOUT && rss_bytes() - before <= 1 << 20);
    while (n > 0) {
        CHECK(procs_child_read(child, 1, 20000, block, sizeof block, &n) == PROCS_OK);
        for (size_t i = 0; i < n; i += 997) CHECK(block[i] == 'a' + (char)((position + i) % 26));
        position += n;
    }
    CHECK(position == total && rss_bytes() - before <= 4 << 20 && end_of(child).code == 0);
}

static void c11(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t pending;
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
    for (int round = 0; round < times(200); round++) {
        procs_spawn_options o = CHILD("exit", "7");
        procs_exit_status status = {.size = sizeof status};
        procs_status written;
        size_t n;
        o.input = megabytes;
        o.input_len = 1 << 20;
        procs_output *output = run(o);
        CHECK(procs_output_status(output, &status) == PROCS_OK && status.code == 7 && procs_output_free(output) == PROCS_OK);
        o = CHILD("exit", "7");
        o.stdin_from.kind = PROCS_STDIO_PIPE;
        procs_child *child = start(o);
        while ((written = procs_child_write(child, megabytes, sizeof megabytes, 20000, &n)) == PROCS_OK) {}
        CHECK(written == PROCS_E_CLOSED && end_of(child).code == 7);
        CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE));
    }
    /* In the child it has its default. */
    procs_pipeline *pipeline;
    procs_pipeline_output *output;
    procs_exit_status status = {.size = sizeof status};
    procs_spawn_options first = CHILD("flood", "1000000", "1"), second = CHILD("exit", "0");
    CHECK(procs_pipeline_new(NULL, &pipeline) == PROCS_OK && procs_pipeline_add(pipeline, &first) == PROCS_OK);
    CHECK(procs_pipeline_add(pipeline, &second) == PROCS_OK && procs_pipeline_run(pipeline, &output) == PROCS_OK);
    CHECK(procs_pipeline_output_stage_status(output, 0, &status) == PROCS_OK && status.signal == SIGPIPE);
    CHECK(procs_pipeline_output_free(output) == PROCS_OK && procs_pipeline_free(pipeline) == PROCS_OK);
}

static void c12(void) {
    int ends[2], kept = dup(0);
    CHECK(pipe(ends) == 0 && dup2(ends[0], 0) == 0); /* a keyboard at which nobody sits */
    double began = now_ms();
    prints(CHILD("cat"), "", 0);
    procs_spawn_options o = CHILD("cat");
    o.stdin_from.kind = PROCS_STDIO_PIPE;
    procs_child *child = start(o);
    CHECK(procs_child_wait(child, -1, NULL) == PROCS_OK && procs_child_free(child) == PROCS_OK); /* closes its input */
    CHECK(now_ms() - began < 20000);
    CHECK(dup2(kept, 0) == 0 && close(kept) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

/* Leads the terminal's session. */
static void host_of_a_job(void) {
    procs_spawn_options o = CHILD("cat");
    o.stdin_from.kind = PROCS_STDIO_INHERIT;
    procs_spawn_options alone = o;
    alone.new_session = 1;
    procs_child *child = start(alone);
    CHECK(getsid(procs_child_pid(child)) == procs_child_pid(child));
    procs_status ended = procs_child_wait(child, 300, NULL);
    CHECK(ended == PROCS_OK || state_of(procs_child_pid(child)) != 'T');
    CHECK(procs_child_kill(child) == PROCS_OK && procs_child_free(child) == PROCS_OK);
    /* A background job of this session is stopped: that is what the option is for. */
    o.process_group = 0;
    child = start(o);
    WAIT_UNTIL(state_of(procs_child_pid(child)) == 'T');
    kill_it(child);
    prints(CHILD("cat"), "", 0);
}

static void c13(void) { on_a_terminal("host_of_a_job", NULL); }

static void c14(void) {
    static int pipes[1100][2];
    char copy[400];
    snprintf(copy, sizeof copy, "%s", in_folder("child"));
    prints(options_for((const char *const[]){"cp", helper(), copy, NULL}), "", 0);
    struct rlimit limit = {2400, 2400};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0 && setgroups(0, NULL) == 0);
    CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    /* Beyond 1024 pipes this user's new ones hold 8 KiB or less and cannot grow. Source: pipe-user-pages-soft of pipe(7). */
    for (int i = 0; i < 1100; i++) CHECK(pipe(pipes[i]) == 0);
    CHECK(setenv("PROCS_TEST_CHILD", copy, 1) == 0);
    crossed_streams(times(20));
    procs_spawn_options o = CHILD("cat");
    o.pipe_size = 1 << 20; /* a wish that is refused */
    o.input = megabytes;
    o.input_len = sizeof megabytes;
    prints(o, megabytes, sizeof megabytes);
    for (int i = 0; i < 1100; i++) CHECK(close(pipes[i][0]) == 0 && close(pipes[i][1]) == 0);
}

static void c14_large(void) {
    static const char *const rules[] = {"splice:error=ENOSYS", "splice:error=EPERM:when=3", "splice:error=EINTR:when=1+2"};
    static char whole[9000001];
    for (size_t i = 0; i < sizeof whole; i++) whole[i] = (char)('a' + i % 26);
    for (int i = 0; i < 3; i++) {
        inject(rules[i], NULL);
        prints(CHILD("flood", "9000001", "1"), whole, sizeof whole);
        CHECK(end_injection());
    }
}

static void c15(void) {
    enum { LINES = 1000 };
    static char expected[LINES * 24];
    char word[16];
    size_t len = 0;
    snprintf(word, sizeof word, "%d", LINES);
    for (int i = 0; i < LINES; i++) len += (size_t)sprintf(expected + len, "out %d\nerr %d\n", i, i);
    procs_spawn_options o = CHILD("interleave", word);
    o.stderr_to = (procs_stdio){PROCS_STDIO_SAME_AS, 1, NULL};
    prints(o, expected, len);
}

static void c16(void) {
    const char *disk = in_folder("disk"), *file = in_folder("disk/file");
    char full[16];
    struct stat info;
    size_t len;
    snprintf(full, sizeof full, "%d\n", ENOSPC);
    CHECK(mkdir(disk, 0755) == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("tmpfs", disk, "tmpfs", 0, "size=64k") == 0);
    for (int append = 0; append < 2; append++) {
        procs_spawn_options o = CHILD("write-until-error", "1");
        o.stdout_to = (procs_stdio){append ? PROCS_STDIO_APPEND_FILE : PROCS_STDIO_WRITE_FILE, 0, file};
        procs_output *output = run(o);
        const char *text = procs_output_stderr(output, &len);
        CHECK(len == strlen(full) && memcmp(text, full, len) == 0 && stat(file, &info) == 0 && info.st_size == 65536);
        CHECK(procs_output_free(output) == PROCS_OK);
    }
    /* A sink that is full is told; the other stream and the child go on. */
    procs_spawn_options o = CHILD("flood", "300000", "both");
    o.stdout_sink.kind = PROCS_SINK_FILE;
    o.stdout_sink.path = file;
    procs_output *output = run(o);
    CHECK(procs_output_stderr(output, &len) != NULL && len == 300000);
    procs_stream_report report = report_of(output, 1);
    CHECK(report.sink_error == PROCS_E_EXHAUSTED && report.sink_errno == ENOSPC && report.incomplete == 0);
    CHECK(procs_output_success(output) == 0 && procs_output_check(output) == PROCS_E_EXHAUSTED);
    CHECK(procs_output_free(output) == PROCS_OK && umount(disk) == 0);
}

static void c16_limit(void) {
    const char *file = in_folder("file");
    procs_rlimit two[] = {{PROCS_RESOURCE_FILE_SIZE, 0, 5000, 5000}, {PROCS_RESOURCE_CORE, 0, 0, 0}};
    procs_spawn_options o = CHILD("flood", "100000", "1");
    struct stat info;
    o.stdout_to = (procs_stdio){PROCS_STDIO_WRITE_FILE, 0, file};
    o.rlimits = two;
    o.rlimit_count = 2;
    CHECK(end_of(start(o)).signal == SIGXFSZ && stat(file, &info) == 0 && info.st_size == 5000);
    o = CHILD("echo", "one");
    o.stdout_to = (procs_stdio){PROCS_STDIO_WRITE_FILE, 0, file};
    exits(o, 0);
    o.stdout_to.kind = PROCS_STDIO_APPEND_FILE;
    exits(o, 0);
    CHECK(strcmp(text_of(file), "one\none\n") == 0);
}
