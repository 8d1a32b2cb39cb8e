/* I08: every owned thing is freed once by its own function, in any order; what is borrowed is there until the end that is named, and no longer
 * than that is it touched. Under valgrind and the sanitizers; a second free is an error. */
#include "check.h"

#define FREED_ONCE(call) CHECK((call) == PROCS_OK && (call) == PROCS_E_INVALID_ARGUMENT)

/* Reads every byte: one that was freed is found here. */
static unsigned sum_of(const char *bytes, size_t len) {
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++) sum += (unsigned char)bytes[i];
    return sum;
}

static const char *const echo_argv[] = {"echo", "hello", NULL};
static const char *const both_argv[] = {"sh", "-c", "echo out; echo err >&2; exit 3", NULL};

static void outputs(void) {
    procs_spawn_options options = options_for(both_argv);
    procs_output *one, *other;
    size_t out_len, err_len;
    CHECK(procs_run(&options, &one) == PROCS_OK && procs_run(&options, &other) == PROCS_OK);
    const char *out = procs_output_stdout(one, &out_len), *err = procs_output_stderr(one, &err_len);
    /* Other calls, and the end of other outputs, do not shorten what is borrowed. */
    FREED_ONCE(procs_output_free(other));
    CHECK(procs_run(&options, &other) == PROCS_OK && procs_output_free(other) == PROCS_OK);
    CHECK(sum_of(out, out_len) == sum_of("out\n", 4) && sum_of(err, err_len) == sum_of("err\n", 4));
    FREED_ONCE(procs_output_free(one));
    /* Owned by the error, then by us; left in the error, it goes with it. */
    options.check = 1;
    CHECK(procs_run(&options, &one) == PROCS_E_CHILD_FAILED && procs_last_error_take_output(&one) == PROCS_OK);
    CHECK(procs_last_error_take_output(&other) == PROCS_E_NOT_FOUND);
    out = procs_output_stdout(one, &out_len);
    CHECK(sum_of(out, out_len) == sum_of("out\n", 4));
    FREED_ONCE(procs_output_free(one));
    CHECK(procs_run(&options, &one) == PROCS_E_CHILD_FAILED);
    ok("outputs, and those that come with errors");
}

/* Texts of errors: valid until the next call of this thread that fails; those of paths and names too. */
static void errors(void) {
    const char *argv[] = {"/no/such/program", NULL};
    procs_spawn_options options = options_for(argv);
    procs_child *child;
    procs_output *output;
    CHECK(procs_spawn(&options, &child) == PROCS_E_NOT_FOUND);
    const char *message = procs_last_error_message(), *path = procs_last_error_path();
    options = options_for(echo_argv);
    CHECK(procs_run(&options, &output) == PROCS_OK && procs_output_free(output) == PROCS_OK); /* a success changes nothing */
    CHECK(strstr(message, "/no/such/program") != NULL && strcmp(path, "/no/such/program") == 0);
    CHECK(procs_output_free(output) == PROCS_E_INVALID_ARGUMENT);
    CHECK(strstr(procs_last_error_message(), "procs_output_free") != NULL && procs_last_error_path() == NULL);
    ok("texts of errors");
}

static void children(void) {
    procs_spawn_options options = options_for(both_argv);
    procs_child *child, *again;
    procs_lines *lines;
    procs_capture *capture;
    procs_output *output;
    const char *line;
    size_t len;
    int fd;
    options.stdout_to.kind = options.stderr_to.kind = PROCS_STDIO_PIPE;
    /* The lines outlive the child's handle. */
    CHECK(procs_spawn(&options, &child) == PROCS_OK && procs_lines_new(child, 1, 0, &lines) == PROCS_OK);
    CHECK(procs_child_take_fd(child, 2, &fd) == PROCS_OK);
    FREED_ONCE(procs_child_free(child));
    CHECK(procs_lines_next(lines, 20000, &line, &len) == PROCS_OK && sum_of(line, len) == sum_of("out", 3));
    FREED_ONCE(procs_lines_free(lines));
    CHECK(close(fd) == 0);
    /* So does the capture, and the child's other handle outlives both. */
    CHECK(procs_spawn(&options, &child) == PROCS_OK && procs_child_capture(child, &capture) == PROCS_OK);
    CHECK(procs_capture_child(capture, &again) == PROCS_OK);
    FREED_ONCE(procs_child_free(child));
    CHECK(procs_capture_finish(capture, &output) == PROCS_OK);
    FREED_ONCE(procs_capture_free(capture));
    line = procs_output_stdout(output, &len);
    CHECK(sum_of(line, len) == sum_of("out\n", 4));
    FREED_ONCE(procs_output_free(output));
    CHECK(procs_child_wait(again, 20000, NULL) == PROCS_OK);
    FREED_ONCE(procs_child_free(again));
    ok("children, lines and captures, in any order");
}

static void pipelines(void) {
    procs_spawn_options first = options_for(echo_argv), second = options_for(both_argv);
    procs_pipeline *pipeline;
    procs_pipeline_output *output;
    procs_child *started[2];
    size_t len;
    CHECK(procs_pipeline_new(NULL, &pipeline) == PROCS_OK && procs_pipeline_add(pipeline, &first) == PROCS_OK);
    CHECK(procs_pipeline_add(pipeline, &second) == PROCS_OK && procs_pipeline_run(pipeline, &output) == PROCS_OK);
    CHECK(procs_pipeline_spawn(pipeline, started, 2) == PROCS_OK);
    FREED_ONCE(procs_pipeline_free(pipeline));
    const char *text = procs_pipeline_output_stdout(output, &len);
    CHECK(sum_of(text, len) == sum_of("out\n", 4));
    FREED_ONCE(procs_pipeline_output_free(output));
    for (int i = 1; i >= 0; i--) FREED_ONCE(procs_child_free(started[i]));
    wait_for_no_children();
    ok("pipelines");
}

/* A cancel handle may go before the run that has it; options and inputs may go before the call's end is known. */
static void borrowed_by_the_library(void) {
    char *input = strdup("some input");
    const char **argv = malloc(3 * sizeof *argv);
    procs_cancel *cancel;
    procs_capture *capture;
    procs_output *output;
    size_t len;
    argv[0] = "cat", argv[1] = "-", argv[2] = NULL;
    procs_spawn_options options = options_for(argv);
    CHECK(procs_cancel_new(&cancel) == PROCS_OK);
    options.input = input;
    options.input_len = strlen(input);
    options.cancel = cancel;
    CHECK(procs_capture_start(&options, &capture) == PROCS_OK);
    FREED_ONCE(procs_cancel_free(cancel));
    memset(input, '#', strlen(input));
    free(input);
    free(argv);
    CHECK(procs_capture_finish(capture, &output) == PROCS_OK);
    const char *text = procs_output_stdout(output, &len);
    CHECK(len == 10 && memcmp(text, "some input", 10) == 0);
    CHECK(procs_output_free(output) == PROCS_OK && procs_capture_free(capture) == PROCS_OK);
    ok("what is given is copied");
}

static void memory_and_messages(void) {
    procs_shm *shm;
    procs_shm_mutex *mutex;
    int died;
    procs_message *message;
    CHECK(procs_shm_new(4096, 0, &shm) == PROCS_OK && procs_shm_mutex_new(shm, 0, PROCS_SHM_CREATE, &mutex) == PROCS_OK);
    FREED_ONCE(procs_shm_free(shm)); /* what was opened in it stays usable */
    CHECK(procs_shm_mutex_lock(mutex, 0, &died) == PROCS_OK && !died && procs_shm_mutex_unlock(mutex) == PROCS_OK);
    FREED_ONCE(procs_shm_mutex_free(mutex));
    CHECK(procs_message_new(PROCS_CODEC_RAW, "body", 4, &message) == PROCS_OK);
    FREED_ONCE(procs_message_free(message));
    ok("shared memory and messages");
}

int main(void) {
    leftovers stock = take_stock();
    outputs();
    errors();
    children();
    pipelines();
    borrowed_by_the_library();
    memory_and_messages();
    check_leftovers(stock);
    return 0;
}
