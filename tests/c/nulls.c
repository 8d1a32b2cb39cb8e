/* I01: every export with NULL for every pointer, one at a time and all together: an error, never a crash. */
#include "check.h"

static procs_child *child;
static procs_output *output;
static procs_spawn_options options;

static void last_error_of_null(void) {
    REFUSED(procs_run(NULL, &output));
    CHECK(procs_last_error() == PROCS_E_INVALID_ARGUMENT);
    CHECK(strlen(procs_last_error_message()) > 0);
}

static void starts(void) {
    procs_capture *capture;
    REFUSED(procs_spawn_options_init(NULL, sizeof options));
    REFUSED(procs_stop_options_init(NULL, sizeof(procs_stop_options)));
    REFUSED(procs_pipeline_options_init(NULL, sizeof(procs_pipeline_options)));
    REFUSED(procs_run(NULL, NULL));
    REFUSED(procs_run(&options, NULL));
    REFUSED(procs_spawn(NULL, &child));
    REFUSED(procs_spawn(&options, NULL));
    REFUSED(procs_capture_start(NULL, &capture));
    REFUSED(procs_capture_start(&options, NULL));
    REFUSED(procs_last_error_take_output(NULL));
    REFUSED(procs_last_error_take_pipeline_output(NULL));
    REFUSED(procs_engine(NULL));
    REFUSED(procs_cancel_new(NULL));
    CHECK(procs_signal_number(NULL) == PROCS_E_INVALID_ARGUMENT);
}

static void children(void) {
    procs_exit_status status = {.size = sizeof status};
    procs_usage usage = {.size = sizeof usage};
    procs_stop_report report = {.size = sizeof report};
    procs_capture *capture;
    procs_lines *lines;
    char buffer[1];
    size_t n;
    int fd;
    REFUSED(procs_child_wait(NULL, 0, &status));
    REFUSED(procs_child_try_wait(NULL, &status));
    REFUSED(procs_child_usage(NULL, &usage));
    REFUSED(procs_child_usage(child, NULL));
    REFUSED(procs_child_kill(NULL));
    REFUSED(procs_child_send_signal(NULL, 0));
    REFUSED(procs_child_stop(NULL, NULL, &report));
    REFUSED(procs_child_kill_tree(NULL, &report));
    REFUSED(procs_child_take_fd(NULL, 0, &fd));
    REFUSED(procs_child_take_fd(child, 0, NULL));
    REFUSED(procs_child_read(NULL, 1, 0, buffer, 1, &n));
    REFUSED(procs_child_read(child, 1, 0, NULL, 1, &n));
    REFUSED(procs_child_read(child, 1, 0, buffer, 1, NULL));
    REFUSED(procs_child_write(NULL, "x", 1, 0, &n));
    REFUSED(procs_child_write(child, NULL, 1, 0, &n));
    REFUSED(procs_child_close_stdin(NULL));
    REFUSED(procs_child_capture(NULL, &capture));
    REFUSED(procs_child_capture(child, NULL));
    REFUSED(procs_lines_new(NULL, 1, 0, &lines));
    REFUSED(procs_lines_new(child, 1, 0, NULL));
    CHECK(procs_child_pid(NULL) == 0 && procs_child_fd(NULL) == -1 && procs_child_stream_fd(NULL, 1) == -1);
    CHECK(procs_child_spawn_retries(NULL) == 0 && procs_child_tree_level(NULL) == 0);
}

static void outputs(void) {
    procs_exit_status status = {.size = sizeof status};
    procs_stream_report report = {.size = sizeof report};
    procs_stop_report stop = {.size = sizeof stop};
    procs_usage usage = {.size = sizeof usage};
    size_t n;
    REFUSED(procs_output_status(NULL, &status));
    REFUSED(procs_output_status(output, NULL));
    REFUSED(procs_output_stream_report(NULL, 1, &report));
    REFUSED(procs_output_stream_report(output, 1, NULL));
    REFUSED(procs_output_usage(NULL, &usage));
    REFUSED(procs_output_usage(output, NULL));
    REFUSED(procs_output_stop_report(NULL, &stop));
    CHECK(procs_output_check(NULL) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_output_stdout(NULL, &n) == NULL && procs_output_stderr(NULL, NULL) == NULL);
    CHECK(procs_output_stdout(output, NULL) != NULL);
    CHECK(procs_output_success(NULL) == 0 && procs_output_timed_out(NULL) == 0 && procs_output_cancelled(NULL) == 0);
    CHECK(procs_output_pipes_left_open(NULL) == 0 && procs_output_pid(NULL) == 0 && procs_output_spawn_retries(NULL) == 0);
    CHECK(procs_output_spill_fd(NULL, 1) == -1);
}

static void others(void) {
    procs_lines *no_lines = NULL;
    procs_capture *no_capture = NULL;
    procs_pipeline *no_pipeline = NULL;
    procs_pipeline_output *piped;
    procs_exit_status status = {.size = sizeof status};
    const procs_child *none[] = {NULL};
    const char *line;
    procs_bytes bytes[1];
    size_t n;
    int complete;
    REFUSED(procs_lines_next(no_lines, 0, &line, &n));
    REFUSED(procs_lines_next_many(no_lines, 0, bytes, 1, &n));
    CHECK(procs_lines_fd(NULL) == -1);
    REFUSED(procs_capture_run(no_capture, 0));
    REFUSED(procs_capture_dispatch(no_capture, &complete));
    REFUSED(procs_capture_stop(no_capture, NULL, NULL));
    REFUSED(procs_capture_finish(no_capture, &output));
    REFUSED(procs_capture_child(no_capture, &child));
    CHECK(procs_capture_fd(NULL) == -1 && procs_capture_stdout(no_capture, &n) == NULL && procs_capture_stderr(no_capture, NULL) == NULL);
    REFUSED(procs_pipeline_new(NULL, NULL));
    REFUSED(procs_pipeline_add(no_pipeline, &options));
    REFUSED(procs_pipeline_run(no_pipeline, &piped));
    REFUSED(procs_pipeline_spawn(no_pipeline, NULL, 0));
    REFUSED(procs_pipeline_output_status(NULL, &status));
    REFUSED(procs_pipeline_output_stage_status(NULL, 0, &status));
    CHECK(procs_pipeline_stage_count(NULL) == 0 && procs_pipeline_output_stage_count(NULL) == 0);
    CHECK(procs_pipeline_output_success(NULL) == 0 && procs_pipeline_output_stdout(NULL, &n) == NULL);
    CHECK(procs_pipeline_output_stage_stderr(NULL, 0, NULL) == NULL && procs_pipeline_output_timed_out(NULL) == 0);
    REFUSED(procs_wait_any(NULL, 1, 0, &n));
    REFUSED(procs_wait_any(none, 0, 0, &n));
    REFUSED(procs_wait_any(none, 1, 0, &n));
    REFUSED(procs_run_many(NULL, 1, 1, NULL, NULL, NULL, NULL));
    REFUSED(procs_cancel_now(NULL));
    CHECK(procs_cancel_is_cancelled(NULL) == 0 && procs_cancel_fd(NULL) == -1);
}

static void frees(void) {
    CHECK(procs_child_free(NULL) == PROCS_OK && procs_output_free(NULL) == PROCS_OK && procs_lines_free(NULL) == PROCS_OK);
    CHECK(procs_capture_free(NULL) == PROCS_OK && procs_pipeline_free(NULL) == PROCS_OK);
    CHECK(procs_pipeline_output_free(NULL) == PROCS_OK && procs_cancel_free(NULL) == PROCS_OK);
}

int main(void) {
    leftovers stock = take_stock();
    const char *argv[] = {"cat", NULL};
    options = options_for(argv);
    CHECK(procs_run(&options, &output) == PROCS_OK);
    options.stdin_from.kind = options.stdout_to.kind = PROCS_STDIO_PIPE;
    CHECK(procs_spawn(&options, &child) == PROCS_OK);
    last_error_of_null();
    starts();
    children();
    outputs();
    others();
    frees();
    CHECK(procs_child_wait(child, -1, NULL) == PROCS_OK || procs_last_error() == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_child_free(child) == PROCS_OK && procs_output_free(output) == PROCS_OK);
    check_leftovers(stock);
    ok("NULL is refused everywhere");
    return 0;
}
