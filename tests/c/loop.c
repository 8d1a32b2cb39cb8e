/* What programs with a loop of their own use: captures, lines, streams and pipelines behind plain poll; and the same by several threads. */
#include "check.h"

static void wait_readable(int fd) {
    struct pollfd ready = {fd, POLLIN, 0};
    CHECK(fd >= 0 && poll(&ready, 1, 20000) == 1);
}

/* Three captures and a child in one poll loop, with more output than pipes hold and input for it. */
static void captures(void) {
    enum { COUNT = 3, BYTES = 300000 };
    const char *cat[] = {"cat", NULL}, *quick[] = {"true", NULL};
    procs_spawn_options options = options_for(cat), other = options_for(quick);
    procs_capture *captures[COUNT];
    procs_child *child;
    procs_exit_status status = {.size = sizeof status};
    char *input = malloc(BYTES);
    int left = COUNT, child_ended = 0, complete[COUNT] = {0};
    memset(input, 'x', BYTES);
    options.input = input;
    options.input_len = BYTES;
    for (int i = 0; i < COUNT; i++) CHECK(procs_capture_start(&options, &captures[i]) == PROCS_OK);
    CHECK(procs_spawn(&other, &child) == PROCS_OK);
    while (left > 0 || !child_ended) {
        struct pollfd fds[COUNT + 1];
        for (int i = 0; i < COUNT; i++) fds[i] = (struct pollfd){complete[i] ? -1 : procs_capture_fd(captures[i]), POLLIN, 0};
        fds[COUNT] = (struct pollfd){child_ended ? -1 : procs_child_fd(child), POLLIN, 0};
        CHECK(poll(fds, COUNT + 1, 20000) > 0);
        for (int i = 0; i < COUNT; i++) {
            if (fds[i].revents == 0) continue;
            CHECK(procs_capture_dispatch(captures[i], &complete[i]) == PROCS_OK);
            left -= complete[i];
        }
        if (fds[COUNT].revents != 0) {
            CHECK(procs_child_try_wait(child, &status) == PROCS_OK && status.kind == PROCS_EXIT_CODE && status.code == 0);
            child_ended = 1;
        }
    }
    for (int i = 0; i < COUNT; i++) {
        procs_output *output;
        size_t len;
        wait_readable(procs_capture_fd(captures[i])); /* stays readable at the end */
        const char *so_far = procs_capture_stdout(captures[i], &len);
        CHECK(so_far != NULL && len == BYTES);
        CHECK(procs_capture_finish(captures[i], &output) == PROCS_OK);
        const char *data = procs_output_stdout(output, &len);
        CHECK(len == BYTES && memcmp(data, input, BYTES) == 0);
        CHECK(procs_capture_finish(captures[i], &output) == PROCS_E_INVALID_STATE);
        CHECK(procs_output_free(output) == PROCS_OK && procs_capture_free(captures[i]) == PROCS_OK);
    }
    CHECK(procs_child_free(child) == PROCS_OK);
    free(input);
    ok("captures in a loop of their own");
}

/* A capture that is run bit by bit loses nothing and is killed when it is freed. */
static void bit_by_bit(void) {
    const char *argv[] = {"sh", "-c", "echo one; read -r line; echo $line", NULL}, *sleep[] = {"sleep", "100", NULL};
    procs_spawn_options options = options_for(argv);
    procs_child *child;
    procs_capture *capture;
    procs_output *output;
    size_t len;
    options.stdin_from.kind = options.stdout_to.kind = PROCS_STDIO_PIPE;
    options.input = "two\n";
    options.input_len = 4;
    CHECK(procs_spawn(&options, &child) == PROCS_OK);
    CHECK(procs_child_capture(child, &capture) == PROCS_OK);
    CHECK(procs_child_capture(child, &capture) == PROCS_E_INVALID_STATE);
    while (procs_capture_run(capture, 1) != PROCS_OK) CHECK(procs_last_error() == PROCS_E_TIMEOUT);
    CHECK(procs_capture_finish(capture, &output) == PROCS_OK);
    const char *data = procs_output_stdout(output, &len);
    CHECK(len == 8 && memcmp(data, "one\ntwo\n", 8) == 0);
    CHECK(procs_output_free(output) == PROCS_OK && procs_capture_free(capture) == PROCS_OK && procs_child_free(child) == PROCS_OK);

    procs_exit_status status = {.size = sizeof status};
    options = options_for(sleep);
    CHECK(procs_capture_start(&options, &capture) == PROCS_OK);
    CHECK(procs_capture_run(capture, 0) == PROCS_E_WOULD_BLOCK);
    CHECK(procs_capture_child(capture, &child) == PROCS_OK);
    CHECK(procs_capture_free(capture) == PROCS_OK);
    CHECK(procs_child_wait(child, 20000, &status) == PROCS_OK && status.signal == SIGKILL);
    CHECK(procs_child_free(child) == PROCS_OK);
    ok("a capture bit by bit, and freed before its end");
}

/* Lines: empty ones, long ones, carriage returns, one without its end; one at a time and many at once. */
static void lines_of(uint64_t flags, size_t batch, const char *expected) {
    const char *argv[] = {"sh", "-c", "printf 'a\\r\\n\\nlast'; exec 1>&-; sleep 0", NULL};
    procs_spawn_options options = options_for(argv);
    procs_child *child;
    procs_lines *lines;
    procs_bytes many[8];
    char seen[64] = "";
    size_t len, count;
    options.stdout_to.kind = PROCS_STDIO_PIPE;
    CHECK(procs_spawn(&options, &child) == PROCS_OK);
    CHECK(procs_lines_new(child, 1, flags, &lines) == PROCS_OK);
    CHECK(procs_lines_new(child, 1, 0, &lines) == PROCS_E_INVALID_STATE);
    for (;;) {
        const char *line;
        if (batch == 0) {
            procs_status got = procs_lines_next(lines, 0, &line, &len);
            if (got == PROCS_E_WOULD_BLOCK) {
                wait_readable(procs_lines_fd(lines));
                continue;
            }
            CHECK(got == PROCS_OK);
            if (line == NULL) break;
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "[%.*s]", (int)len, line);
        } else {
            CHECK(procs_lines_next_many(lines, 20000, many, batch, &count) == PROCS_OK);
            if (count == 0) break;
            for (size_t i = 0; i < count; i++)
                snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "[%.*s]", (int)many[i].len, many[i].data);
        }
    }
    CHECK(strcmp(seen, expected) == 0);
    CHECK(procs_child_wait(child, -1, NULL) == PROCS_OK);
    CHECK(procs_lines_free(lines) == PROCS_OK && procs_child_free(child) == PROCS_OK);
}

/* Every stage of a started pipeline is a child of its own. */
static void pipeline(void) {
    const char *upper[] = {"tr", "a-z", "A-Z", NULL}, *cat[] = {"cat", NULL};
    procs_pipeline_options whole;
    procs_pipeline *pipeline;
    procs_child *stages[2];
    char text[16];
    size_t count, total = 0;
    CHECK(procs_pipeline_options_init(&whole, sizeof whole) == PROCS_OK);
    whole.stdin_from.kind = whole.stdout_to.kind = PROCS_STDIO_PIPE;
    CHECK(procs_pipeline_new(&whole, &pipeline) == PROCS_OK);
    procs_spawn_options first = options_for(upper), second = options_for(cat);
    CHECK(procs_pipeline_add(pipeline, &first) == PROCS_OK && procs_pipeline_add(pipeline, &second) == PROCS_OK);
    CHECK(procs_pipeline_spawn(pipeline, stages, 1) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_pipeline_spawn(pipeline, stages, 2) == PROCS_OK);
    CHECK(procs_child_write(stages[0], "hello\n", 6, 20000, &count) == PROCS_OK && count == 6);
    CHECK(procs_child_read(stages[1], 1, 0, text, sizeof text, &count) == PROCS_E_WOULD_BLOCK || count > 0);
    CHECK(procs_child_close_stdin(stages[0]) == PROCS_OK);
    for (;;) {
        CHECK(procs_child_read(stages[1], 1, 20000, text + total, sizeof text - total, &count) == PROCS_OK);
        if (count == 0) break;
        total += count;
    }
    CHECK(total == 6 && memcmp(text, "HELLO\n", 6) == 0);
    for (int i = 0; i < 2; i++) {
        procs_exit_status status = {.size = sizeof status};
        CHECK(procs_child_wait(stages[i], 20000, &status) == PROCS_OK && status.code == 0);
        CHECK(procs_child_free(stages[i]) == PROCS_OK);
    }
    CHECK(procs_pipeline_free(pipeline) == PROCS_OK);
    ok("a started pipeline, stage by stage");
}

/* One child waited for, signalled and looked at by many threads at once. */
static void *use_child(void *argument) {
    procs_child *child = argument;
    procs_exit_status status = {.size = sizeof status};
    procs_usage usage = {.size = sizeof usage};
    CHECK(procs_child_pid(child) > 0 && procs_child_fd(child) >= 0);
    procs_status sent = procs_child_send_signal(child, 0);
    CHECK(sent == PROCS_OK || sent == PROCS_E_NOT_FOUND);
    CHECK(procs_child_wait(child, -1, &status) == PROCS_OK && status.kind == PROCS_EXIT_CODE && status.code == 7);
    CHECK(procs_child_usage(child, &usage) == PROCS_OK && usage.wall_time_us > 0);
    CHECK(procs_child_send_signal(child, SIGKILL) == PROCS_E_NOT_FOUND);
    return NULL;
}

static void threads(void) {
    const char *argv[] = {"sh", "-c", "read -r line; exit 7", NULL};
    procs_spawn_options options = options_for(argv);
    options.stdin_from.kind = PROCS_STDIO_PIPE;
    for (int round = 0; round < count(100); round++) {
        procs_child *child;
        pthread_t ids[8];
        CHECK(procs_spawn(&options, &child) == PROCS_OK);
        for (int i = 0; i < 8; i++) CHECK(pthread_create(&ids[i], NULL, use_child, child) == 0);
        for (int i = 0; i < 8; i++) pthread_join(ids[i], NULL);
        CHECK(procs_child_free(child) == PROCS_OK);
    }
    ok("one child in eight threads");
}

int main(void) {
    leftovers stock = take_stock();
    captures();
    bit_by_bit();
    lines_of(0, 0, "[a\r][][last]");
    lines_of(PROCS_LINES_STRIP_CR, 0, "[a][][last]");
    lines_of(PROCS_LINES_KEEP_ENDS, 1, "[a\r\n][\n][last]");
    lines_of(PROCS_LINES_STRIP_CR, 8, "[a][][last]");
    ok("lines one by one and many at once");
    pipeline();
    threads();
    check_leftovers(stock);
    return 0;
}
