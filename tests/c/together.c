/* Starts that are not waited for, output to several sinks, and several children ended together. */
#include "check.h"
#include <time.h>

static void starts_unwaited(void) {
    const char *good[] = {"sh", "-c", "exit 5", NULL};
    const char *missing[] = {"/nonexistent/program", NULL};
    procs_exit_status status = {.size = sizeof status};
    procs_child *child;
    procs_spawn_options options = options_for(good);
    CHECK(options.wait_for_exec == 1);
    options.wait_for_exec = 0;
    CHECK(procs_spawn(&options, &child) == PROCS_OK);
    CHECK(procs_child_wait(child, -1, &status) == PROCS_OK && status.code == 5);
    CHECK(procs_child_free(child) == PROCS_OK);
    options = options_for(missing);
    CHECK(procs_spawn(&options, &child) == PROCS_E_NOT_FOUND && procs_last_error_os() == ENOENT);
    options.wait_for_exec = 0;
    /* Where the system does not let it (valgrind has no clone3) the start is waited for all the same. */
    if (procs_spawn(&options, &child) == PROCS_OK) {
        CHECK(!under_valgrind() && procs_child_wait(child, -1, &status) == PROCS_E_NOT_FOUND);
        CHECK(procs_child_free(child) == PROCS_OK);
    } else {
        CHECK(under_valgrind() && procs_last_error() == PROCS_E_NOT_FOUND);
    }
    CHECK(procs_last_error_os() == ENOENT && strcmp(procs_last_error_stage(), "exec") == 0);
    options.wait_for_exec = 2;
    REFUSED(procs_spawn(&options, &child));
    ok("a start that is not waited for tells its failure at the end, with step and errno");
}

typedef struct {
    char text[64];
    size_t len;
} kept;

static void keep(const char *data, size_t len, void *user_data) {
    kept *k = user_data;
    CHECK(k->len + len <= sizeof k->text);
    memcpy(k->text + k->len, data, len);
    k->len += len;
}

static void to_several_sinks(void) {
    const char *argv[] = {"printf", "one\\ntwo\\n", NULL};
    kept first = {.len = 0}, third = {.len = 0};
    char path[] = "/tmp/procs-together-XXXXXX", read_back[64];
    int file = mkstemp(path);
    CHECK(file >= 0);
    procs_sink last = {.kind = PROCS_SINK_CALLBACK, .callback = keep, .user_data = &third};
    procs_sink middle = {.kind = PROCS_SINK_FD, .fd = file, .also = &last};
    procs_spawn_options options = options_for(argv);
    procs_output *output;
    size_t len;
    options.stdout_sink.kind = PROCS_SINK_CALLBACK;
    options.stdout_sink.callback = keep;
    options.stdout_sink.user_data = &first;
    options.stdout_sink.also = &middle;
    CHECK(procs_run(&options, &output) == PROCS_OK);
    CHECK(procs_output_stdout(output, &len) == NULL || len == 0);
    CHECK(procs_output_free(output) == PROCS_OK);
    CHECK(first.len == 8 && memcmp(first.text, "one\ntwo\n", 8) == 0);
    CHECK(third.len == 8 && memcmp(third.text, "one\ntwo\n", 8) == 0);
    CHECK(pread(file, read_back, sizeof read_back, 0) == 8 && memcmp(read_back, "one\ntwo\n", 8) == 0);
    /* Kept as well as handed on. */
    last.kind = PROCS_SINK_BUFFER;
    CHECK(procs_run(&options, &output) == PROCS_OK);
    const char *text = procs_output_stdout(output, &len);
    CHECK(len == 8 && memcmp(text, "one\ntwo\n", 8) == 0);
    CHECK(procs_output_free(output) == PROCS_OK);
    last.also = &middle;
    REFUSED(procs_run(&options, &output));
    CHECK(close(file) == 0 && unlink(path) == 0);
    ok("one stream goes to several sinks, in order; a circle is refused");
}

/* The stages of a pipeline that ignores SIGTERM in one stage. */
static void stops_a_whole_pipeline(void) {
    const char *yes[] = {"yes", NULL};
    const char *deaf[] = {"sh", "-c", "trap '' TERM; while :; do sleep 0.01; done", NULL};
    procs_spawn_options options = options_for(yes);
    procs_pipeline *pipeline;
    procs_child *children[2];
    procs_exit_status status = {.size = sizeof status};
    procs_stop_step kill_now = {.action = PROCS_STOP_KILL, .wait_ms = 10000};
    procs_stop_options stop;
    size_t survivors = 99;
    CHECK(procs_pipeline_new(NULL, &pipeline) == PROCS_OK);
    CHECK(procs_pipeline_add(pipeline, &options) == PROCS_OK);
    options = options_for(deaf);
    CHECK(procs_pipeline_add(pipeline, &options) == PROCS_OK);
    CHECK(procs_pipeline_spawn(pipeline, children, 2) == PROCS_OK);
    CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
    REFUSED(procs_stop_all((const procs_child *const *)children, 0, &stop, &survivors));
    CHECK(survivors == 99);
    stop.steps = &kill_now;
    stop.step_count = 1;
    CHECK(procs_stop_all((const procs_child *const *)children, 2, &stop, &survivors) == PROCS_OK && survivors == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(procs_child_try_wait(children[i], &status) == PROCS_OK);
        /* The writer may meet its dead reader before its own signal. */
        CHECK(status.kind == PROCS_EXIT_SIGNAL && (status.signal == SIGKILL || (i == 0 && status.signal == SIGPIPE)));
        CHECK(procs_child_free(children[i]) == PROCS_OK);
    }
    CHECK(procs_pipeline_free(pipeline) == PROCS_OK);
    ok("all stages of a pipeline are killed by one call");
}

/* Standard input is closed for all before anybody is signalled: both end by themselves. */
static void closes_standard_input_of_all(void) {
    const char *cat[] = {"cat", NULL};
    procs_child *children[2];
    procs_exit_status status = {.size = sizeof status};
    procs_stop_step steps[] = {{.action = PROCS_STOP_CLOSE_STDIN, .wait_ms = 20000}, {.action = PROCS_STOP_KILL, .wait_ms = 1000}};
    procs_stop_options stop;
    size_t survivors = 99;
    CHECK(procs_stop_options_init(&stop, sizeof stop) == PROCS_OK);
    stop.steps = steps;
    stop.step_count = 2;
    for (int i = 0; i < 2; i++) {
        procs_spawn_options options = options_for(cat);
        options.stdin_from.kind = PROCS_STDIO_PIPE;
        CHECK(procs_spawn(&options, &children[i]) == PROCS_OK);
    }
    CHECK(procs_stop_all((const procs_child *const *)children, 2, &stop, &survivors) == PROCS_OK && survivors == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(procs_child_try_wait(children[i], &status) == PROCS_OK && status.kind == PROCS_EXIT_CODE && status.code == 0);
        CHECK(procs_child_free(children[i]) == PROCS_OK);
    }
    ok("a ladder that closes standard input closes it for all");
}

int main(void) {
    leftovers stock = take_stock();
    starts_unwaited();
    to_several_sinks();
    stops_a_whole_pipeline();
    closes_standard_input_of_all();
    check_leftovers(stock);
    return 0;
}
