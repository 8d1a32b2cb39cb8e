/* I10, C18: callbacks may kill, spawn, write and free; no lock is held, and nothing is called after the end. */
#include "check.h"

typedef struct {
    procs_child *child;
    procs_cancel *cancel;
    size_t bytes;
    int calls, done, act;
} state;

static void run_another(void) {
    const char *argv[] = {"true", NULL};
    procs_spawn_options options = options_for(argv);
    procs_output *output;
    CHECK(procs_run(&options, &output) == PROCS_OK);
    CHECK(procs_output_free(output) == PROCS_OK);
}

static void on_output(const char *data, size_t len, void *user_data) {
    state *s = user_data;
    CHECK(!s->done && len > 0 && data != NULL);
    s->bytes += len;
    s->calls++;
    if (s->calls > 1) return;
    switch (s->act) {
    case 0: run_another(); break;
    case 1: CHECK(procs_cancel_now(s->cancel) == PROCS_OK); break;
    case 2: CHECK(procs_cancel_free(s->cancel) == PROCS_OK); break;
    case 3: CHECK(procs_child_kill(s->child) == PROCS_OK); break;
    default: break;
    }
}

static int64_t give_input(char *buffer, size_t capacity, void *user_data) {
    int *left = user_data;
    size_t n = capacity < (size_t)*left ? capacity : (size_t)*left;
    memset(buffer, 'x', n);
    *left -= (int)n;
    return (int64_t)n;
}

static int64_t fail_input(char *buffer, size_t capacity, void *user_data) {
    (void)buffer, (void)capacity, (void)user_data;
    return -EIO;
}

/* The callback acts on the very run it belongs to. */
static void acts(int act) {
    const char *argv[] = {"sh", "-c", "echo first; if test $0 -eq 1 -o $0 -eq 3; then exec sleep 100; fi; echo second", act == 1 ? "1" : act == 3 ? "3" : "0", NULL};
    state s = {.act = act};
    procs_spawn_options options = options_for(argv);
    procs_capture *capture;
    procs_output *output;
    CHECK(procs_cancel_new(&s.cancel) == PROCS_OK);
    options.cancel = s.cancel;
    options.stdout_sink.kind = PROCS_SINK_CALLBACK;
    options.stdout_sink.callback = on_output;
    options.stdout_sink.user_data = &s;
    CHECK(procs_capture_start(&options, &capture) == PROCS_OK);
    CHECK(procs_capture_child(capture, &s.child) == PROCS_OK);
    CHECK(procs_capture_finish(capture, &output) == PROCS_OK);
    s.done = 1;
    CHECK(procs_output_cancelled(output) == (act == 1));
    CHECK(procs_output_success(output) == (act != 1 && act != 3));
    CHECK(act == 1 || act == 3 || s.bytes == strlen("first\nsecond\n"));
    CHECK(procs_output_free(output) == PROCS_OK && procs_capture_free(capture) == PROCS_OK && procs_child_free(s.child) == PROCS_OK);
    if (act != 2) CHECK(procs_cancel_free(s.cancel) == PROCS_OK);
}

static void inputs(void) {
    const char *argv[] = {"wc", "-c", NULL};
    procs_spawn_options options = options_for(argv);
    procs_output *output;
    size_t len;
    int left = 3000000;
    options.input_callback = give_input;
    options.input_user_data = &left;
    CHECK(procs_run(&options, &output) == PROCS_OK);
    const char *text = procs_output_stdout(output, &len);
    CHECK(left == 0 && len == 8 && memcmp(text, "3000000\n", 8) == 0);
    CHECK(procs_output_free(output) == PROCS_OK);
    options.input_callback = fail_input;
    CHECK(procs_run(&options, &output) == PROCS_E_IO && procs_last_error_os() == EIO);
    ok("input comes from a callback, its error fails the run");
}

int main(void) {
    leftovers stock = take_stock();
    for (int round = 0; round < count(100); round++)
        for (int act = 0; act < 4; act++) acts(act);
    ok("callbacks run without locks and end with the run");
    inputs();
    check_leftovers(stock);
    return 0;
}
