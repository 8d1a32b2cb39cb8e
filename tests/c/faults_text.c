/* Bytes stay bytes, characters stay whole, lines of any shape, streams that are closed while they are watched, callbacks that do anything. */
#define ROWS(ROW)                                                                            \
    ROW(c08, "C08", "every byte value makes the round trip", ANYWHERE, NULL)                 \
    ROW(c09, "C09", "characters split over writes stay whole", ANYWHERE, NULL)               \
    ROW(c09_blocks, "C09", "characters at every block boundary", ANYWHERE, NULL)             \
    ROW(c10, "C10", "lines of every shape", ANYWHERE, NULL)                                  \
    ROW(c10_long, "C10", "a line of 10 MiB", ANYWHERE, NULL)                                 \
    ROW(c17, "C17", "a closed stream is never read again", ANYWHERE, NULL)                   \
    ROW(c18, "C18", "a callback may do anything", ANYWHERE, NULL)
#include "rows.h"

static void c08(void) {
    enum { SIZE = 1 << 20 };
    char *bytes = malloc(SIZE), *back = malloc(SIZE + 1);
    size_t written = 0, got = 0, n = 1;
    for (int i = 0; i < SIZE; i++) bytes[i] = (char)i;
    procs_spawn_options o = CHILD("cat");
    o.input = bytes;
    o.input_len = SIZE;
    prints(o, bytes, SIZE);
    /* By hand: both ways without blocking. */
    o = CHILD("cat");
    o.stdin_from.kind = o.stdout_to.kind = PROCS_STDIO_PIPE;
    procs_child *child = start(o);
    while (n > 0) {
        if (written < SIZE && procs_child_write(child, bytes + written, SIZE - written, 0, &n) == PROCS_OK) {
            written += n;
            if (written == SIZE) CHECK(procs_child_close_stdin(child) == PROCS_OK);
        }
        procs_status status = procs_child_read(child, 1, 5, back + got, SIZE + 1 - got, &n);
        CHECK(status == PROCS_OK || status == PROCS_E_TIMEOUT);
        if (status == PROCS_OK) got += n;
        else n = 1;
    }
    CHECK(got == SIZE && memcmp(bytes, back, SIZE) == 0 && end_of(child).code == 0);
    free(bytes);
    free(back);
}

/* All lines of the child, each in brackets; one at a time or many, waiting in the call or with poll. */
static void lines_are(procs_spawn_options o, uint64_t flags, const char *expected, size_t length) {
    char *seen = malloc(length + (1 << 16));
    for (int way = 0; way < 3; way++) {
        procs_lines *lines;
        procs_bytes many[4];
        size_t count = 1, at = 0;
        o.stdout_to.kind = PROCS_STDIO_PIPE;
        procs_child *child = start(o);
        CHECK(procs_lines_new(child, 1, flags, &lines) == PROCS_OK);
        while (count > 0) {
            procs_status status;
            if (way == 0) status = procs_lines_next_many(lines, 20000, many, 4, &count);
            else {
                status = procs_lines_next(lines, way == 1 ? 20000 : 0, &many[0].data, &many[0].len);
                count = status == PROCS_OK && many[0].data != NULL;
            }
            if (way == 2 && status == PROCS_E_WOULD_BLOCK) {
                struct pollfd ready = {procs_lines_fd(lines), POLLIN, 0};
                CHECK(poll(&ready, 1, 20000) == 1);
                count = 1;
                continue;
            }
            CHECK(status == PROCS_OK);
            for (size_t i = 0; i < count; i++) {
                CHECK(at + many[i].len + 2 <= length);
                seen[at++] = '[';
                memcpy(seen + at, many[i].data, many[i].len);
                at += many[i].len;
                seen[at++] = ']';
            }
        }
        CHECK(at == length && memcmp(seen, expected, at) == 0);
        CHECK(procs_lines_free(lines) == PROCS_OK && end_of(child).code == 0);
    }
    free(seen);
}

#define LINES_ARE(text, flags, expected) lines_are(CHILD("print", text), flags, expected, sizeof expected - 1)

static void c09(void) {
    static const char expected[] = "[\xe2\x82\xac\xf0\x9f\x98\x80][\xf0\x9f\x98\x80]";
    lines_are(CHILD("drip", "\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80\\n\\xf0\\x9f\\x98\\x80", "3"), 0, expected, sizeof expected - 1);
    /* A character that never gets its end is delivered as it is. */
    lines_are(CHILD("drip", "\\xe2\\x82", "1"), 0, "[\xe2\x82]", 4);
}

static void c09_blocks(void) {
    static const char tail[] = "\xf0\x9f\x98\x80\xe2\x82\xac\n\xe2\x82\xac";
    for (int block = 64 << 10; block <= 256 << 10; block *= 4) {
        for (int offset = block - 4; offset <= block + 4; offset += under_valgrind() ? 2 : 1) {
            size_t before = (size_t)offset;
            char *text = malloc(before + sizeof tail), *expected = malloc(before + 20);
            memset(text, 'x', before);
            memcpy(text + before, tail, sizeof tail);
            expected[0] = '[';
            memcpy(expected + 1, text, before + 7);
            memcpy(expected + before + 8, "][\xe2\x82\xac]", 6);
            int fd = open(in_folder("text"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
            CHECK(fd > 2 && write(fd, text, before + sizeof tail - 1) == (ssize_t)(before + sizeof tail - 1) && close(fd) == 0);
            procs_spawn_options o = CHILD("cat");
            o.stdin_from = (procs_stdio){PROCS_STDIO_READ_FILE, 0, in_folder("text")};
            lines_are(o, 0, expected, before + 14);
            free(text);
            free(expected);
        }
    }
}

static void c10(void) {
    LINES_ARE("", 0, "");
    LINES_ARE("\\n", 0, "[]");
    LINES_ARE("\\n\\n", 0, "[][]");
    LINES_ARE("a", 0, "[a]");
    LINES_ARE("a\\n", 0, "[a]");
    LINES_ARE("a\\nb", 0, "[a][b]");
    LINES_ARE("a\\r\\nb", 0, "[a\r][b]");
    LINES_ARE("a\\0b\\nc\\0", 0, "[a\0b][c\0]");
    LINES_ARE("\\na", 0, "[][a]");
    LINES_ARE("a\\r\\nb\\rc\\r\\n\\r\\nd", PROCS_LINES_STRIP_CR, "[a][b\rc][][d]");
    LINES_ARE("a\\r\\nb", PROCS_LINES_KEEP_ENDS, "[a\r\n][b]");
}

static void c10_long(void) {
    size_t length = 10 << 20;
    char *expected = malloc(length + 8);
    memset(expected, 'x', length + 1);
    expected[0] = '[';
    memcpy(expected + length + 1, "][end]", 7);
    lines_are(CHILD("line", "10485760"), 0, expected, length + 7);
    free(expected);
}

static _Atomic int running;

/* Each opening takes the lowest free number: the one that a stream has just left. */
static void *opener(void *unused) {
    const char *foreign = in_folder("foreign");
    while (running) {
        int fds[8];
        for (int i = 0; i < 8; i++) fds[i] = open(foreign, O_RDONLY | O_CLOEXEC);
        for (int i = 0; i < 8; i++) close(fds[i]);
    }
    return unused;
}

/* Closes the stream in one of the ways there are, while the library watches or reads it. */
static void c17(void) {
    pthread_t thread;
    make_file("foreign", "####################################", 0644);
    running = 1;
    in_threads(1, opener, &thread);
    for (int round = 0; round < times(1000); round++) {
        procs_spawn_options o = CHILD("flood", "100000", "1");
        procs_lines *lines;
        procs_capture *capture;
        const char *data;
        char block[4096];
        size_t n;
        int fd, complete;
        o.stdout_to.kind = PROCS_STDIO_PIPE;
        procs_child *child = start(o);
        switch (round % 3) {
        case 0:
            CHECK(procs_lines_new(child, 1, 0, &lines) == PROCS_OK);
            CHECK(procs_lines_fd(lines) > 2); /* watched from now on */
            procs_lines_next(lines, 0, &data, &n);
            CHECK(procs_lines_free(lines) == PROCS_OK);
            break;
        case 1:
            CHECK(procs_child_read(child, 1, 20000, block, sizeof block, &n) == PROCS_OK && memchr(block, '#', n) == NULL);
            CHECK(procs_child_take_fd(child, 1, &fd) == PROCS_OK && close(fd) == 0);
            CHECK(procs_child_read(child, 1, 0, block, sizeof block, &n) == PROCS_E_INVALID_STATE);
            break;
        default:
            CHECK(procs_child_capture(child, &capture) == PROCS_OK && procs_capture_fd(capture) > 2);
            CHECK(procs_capture_dispatch(capture, &complete) == PROCS_OK);
            data = procs_capture_stdout(capture, &n);
            CHECK(n == 0 || memchr(data, '#', n) == NULL);
            CHECK(procs_capture_free(capture) == PROCS_OK);
            break;
        }
        CHECK(procs_child_kill(child) == PROCS_OK && procs_child_free(child) == PROCS_OK);
    }
    running = 0;
    join(1, &thread);
}

typedef struct {
    procs_child *child;
    int round, calls;
} reentry;

static void act(const char *data, size_t len, void *user_data) {
    reentry *r = user_data;
    r->calls++;
    CHECK(len > 0 && data[0] == 'x');
    if (r->round % 3 == 0) prints(CHILD("echo", "nested"), "nested\n", 7);
    if (r->round % 3 == 1) CHECK(procs_child_free(start(CHILD("exit", "0"))) == PROCS_OK);
    CHECK(procs_child_kill(r->child) == PROCS_OK && procs_child_wait(r->child, 20000, NULL) == PROCS_OK);
    CHECK(procs_child_free(r->child) == PROCS_OK);
}

/* Runs, starts, kills and frees from inside the callback of the very run: it is called once and the run ends. */
static void c18(void) {
    for (int round = 0; round < times(500); round++) {
        reentry r = {NULL, round, 0};
        procs_spawn_options o = CHILD("say", "x", "60");
        procs_capture *capture;
        procs_output *output;
        procs_exit_status status = {.size = sizeof status};
        o.stdout_sink.kind = PROCS_SINK_CALLBACK;
        o.stdout_sink.callback = act;
        o.stdout_sink.user_data = &r;
        CHECK(procs_capture_start(&o, &capture) == PROCS_OK && procs_capture_child(capture, &r.child) == PROCS_OK);
        CHECK(procs_capture_finish(capture, &output) == PROCS_OK && procs_capture_free(capture) == PROCS_OK);
        CHECK(r.calls == 1 && procs_output_status(output, &status) == PROCS_OK && status.signal == SIGKILL && procs_output_free(output) == PROCS_OK);
    }
}
