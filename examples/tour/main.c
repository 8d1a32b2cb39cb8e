/* The tour: six things that libprocs does, each with what it prints. */

#define _POSIX_C_SOURCE 200809L

#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Three processes: a shell, its child, and a grandchild in a session of its own. Each tells its process id. */
static const char TREE[] = "sleep 60 & echo $!; setsid sleep 60 & echo $!; echo $$; wait";

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Ends the tour with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static procs_spawn_options defaults(void) {
    procs_spawn_options options;
    need(procs_spawn_options_init(&options, sizeof options));
    return options;
}

/* A stream of a result as a string without its last newline; the caller frees it. */
static char *text(const procs_output *output, const char *(*stream)(const procs_output *, size_t *)) {
    size_t length;
    const char *bytes = stream(output, &length);
    while (length > 0 && bytes[length - 1] == '\n') length--;
    char *copy = calloc(length + 1, 1);
    if (copy == NULL) exit(1);
    memcpy(copy, bytes, length);
    return copy;
}

static void run_and_capture(void) {
    procs_spawn_options options = defaults();
    procs_exit_status status = {sizeof status, 0, 0, 0, 0};
    procs_output *output;
    puts("1. run a program and capture what it says");
    options.argv = (const char *const[]){"sh", "-c", "echo hello; echo oops >&2; exit 3", NULL};
    need(procs_run(&options, &output));
    need(procs_output_status(output, &status));
    char *out = text(output, procs_output_stdout), *err = text(output, procs_output_stderr);
    printf("   stdout \"%s\", stderr \"%s\", exit code %d\n", out, err, status.code);
    free(out);
    free(err);
    procs_output_free(output);
}

static void stream_lines(void) {
    procs_spawn_options options = defaults();
    procs_exit_status status = {sizeof status, 0, 0, 0, 0};
    procs_child *child;
    double began = seconds();
    procs_lines *lines;
    const char *line;
    size_t length;
    puts("2. stream a long runner, line by line");
    options.argv = (const char *const[]){"sh", "-c", "for i in 1 2 3; do echo step $i of 3; sleep 0.3; done", NULL};
    options.stdout_to.kind = PROCS_STDIO_PIPE;
    need(procs_spawn(&options, &child));
    need(procs_lines_new(child, 1, 0, &lines));
    while (need(procs_lines_next(lines, -1, &line, &length)), line != NULL) {
        printf("   after %.1f s: %.*s\n", seconds() - began, (int)length, line);
    }
    need(procs_child_wait(child, -1, &status));
    printf("   ended with exit code %d\n", status.code);
    procs_lines_free(lines);
    procs_child_free(child);
}

static void feed_a_filter(void) {
    procs_spawn_options options = defaults();
    procs_output *output;
    puts("3. feed a filter");
    options.program = "sort";
    options.input = "pear\nfig\napple\n";
    options.input_len = strlen(options.input);
    need(procs_run(&options, &output));
    char *sorted = text(output, procs_output_stdout);
    for (char *end = sorted; (end = strchr(end, '\n')) != NULL;) *end = ' ';
    printf("   pear fig apple sorted: %s\n", sorted);
    free(sorted);
    procs_output_free(output);
}

/* Whether the process exists and is more than a zombie that its new parent has not looked at yet. */
static int alive(const char *pid) {
    char path[64], stat[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    size_t length = fread(stat, 1, sizeof stat - 1, file);
    fclose(file);
    char *name_end = strrchr(stat, ')');
    return length > 0 && name_end != NULL && name_end[2] != 'Z';
}

static void stop_a_tree(void) {
    procs_spawn_options options = defaults();
    procs_output *output;
    double began = seconds();
    int started = 0, left = 0;
    puts("4. a deadline that stops a whole tree");
    options.argv = (const char *const[]){"sh", "-c", TREE, NULL};
    options.timeout_ms = 2000;
    options.kill_tree = 1;
    need(procs_run(&options, &output));
    printf("   %s, after %.1f s\n", procs_output_timed_out(output) ? "the deadline passed" : "it ended early", seconds() - began);
    char *pids = text(output, procs_output_stdout);
    for (char *pid = strtok(pids, "\n"); pid != NULL; pid = strtok(NULL, "\n")) {
        started++;
        left += alive(pid);
    }
    printf("   %d processes had started, %d are left\n", started, left);
    free(pids);
    procs_output_free(output);
}

static void honest_errors(void) {
    const char *const programs[] = {"no-such-program", "true"}, *const folders[] = {NULL, "/no/such/folder"};
    puts("5. honest errors");
    for (int i = 0; i < 2; i++) {
        procs_spawn_options options = defaults();
        procs_output *output;
        options.program = programs[i];
        options.cwd = folders[i];
        if (procs_run(&options, &output) != PROCS_OK) {
            printf("   %s at %s: ", procs_err_name(procs_last_error()), procs_last_error_stage());
            puts(procs_last_error_message());
        }
    }
}

static void talk_with_node(void) {
    /* A plain program of Node, which knows nothing of libprocs. */
    const char *adder = "process.once('message', ({ a, b }) => { process.send({ sum: a + b }); process.disconnect(); })";
    procs_spawn_options options = defaults();
    procs_channel_options channel_options;
    procs_exit_status status;
    procs_channel *channel;
    procs_message *message;
    procs_child *child;
    size_t length;
    puts("6. talk with a plain Node program");
    procs_channel_options_init(&channel_options, sizeof channel_options);
    options.argv = (const char *const[]){"node", "-e", adder, NULL};
    options.channel = &channel_options;
    need(procs_spawn(&options, &child));
    need(procs_child_channel(child, &channel));
    need(procs_message_new(PROCS_CODEC_JSON, "{\"a\":20,\"b\":22}", 15, &message));
    need(procs_channel_send(channel, message, -1));
    procs_message_free(message);
    need(procs_channel_recv(channel, -1, &message));
    const char *body = procs_message_body(message, &length);
    printf("   it answered %.*s\n", (int)length, body);
    procs_message_free(message);
    procs_channel_free(channel);
    status.size = sizeof status;
    need(procs_child_wait(child, -1, &status));
    printf("   then exit code %d\n", status.code);
    procs_child_free(child);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    run_and_capture();
    stream_lines();
    feed_a_filter();
    stop_a_tree();
    honest_errors();
    talk_with_node();
    return 0;
}
