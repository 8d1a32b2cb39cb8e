/* Reading a child's output while it runs: line by line with poll(2), chunk by chunk with poll(2), and only its beginning. */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>

/* What cannot be helped ends the program, with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

/* Options are a plain struct: the defaults first, then what differs. Everything in it is copied by the call that uses it. */
static procs_child *start(const char *script, procs_lines **lines) {
    procs_spawn_options options;
    procs_child *child;
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = (const char *const[]){"sh", "-c", script, NULL};
    options.stdout_to.kind = PROCS_STDIO_PIPE;
    need(procs_spawn(&options, &child));
    need(procs_lines_new(child, 1, 0, lines));
    return child;
}

/* Stands for your event loop. A real one watches many descriptors; epoll, libuv or glib take this one just the same. */
static void wait_readable(int fd) {
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    while (poll(&watched, 1, -1) < 0) {
        if (errno != EINTR) perror("poll"), exit(1);
    }
}

/* Lines in an event loop: take what is there (a timeout of 0), and poll only once that says PROCS_E_WOULD_BLOCK. */
static void slow_one(void) {
    procs_exit_status status = {.size = sizeof status}; /* results carry their size: set it, then ask */
    procs_lines *lines;
    procs_child *child = start("for i in 1 2 3 4; do echo \"step $i of 4\"; sleep 0.1; done", &lines);
    const char *line; /* lent until the next call with `lines`, and without a NUL at its end: hence "%.*s" */
    size_t length;
    int number = 0;
    puts("a command that takes its time, line by line:");
    for (;;) {
        procs_status got = procs_lines_next(lines, 0, &line, &length);
        if (got == PROCS_E_WOULD_BLOCK) {
            wait_readable(procs_lines_fd(lines));
        } else {
            need(got);
            if (line == NULL) break; /* end of file */
            printf("  %d: %.*s\n", ++number, (int)length, line);
        }
    }
    need(procs_child_wait(child, -1, &status));
    printf("  ended: exit code %d\n", status.code);
    procs_lines_free(lines);
    procs_child_free(child);
}

/* Called for each chunk from inside procs_capture_dispatch, on this thread: no locks are needed. */
static void count(const char *data, size_t length, void *user_data) {
    size_t *lines = user_data;
    for (size_t i = 0; i < length; i++) *lines += data[i] == '\n';
}

/* A capture in an event loop: poll its one descriptor, dispatch, until it is complete. Pipes and exit are both behind it. */
static void fast_one(void) {
    procs_spawn_options options;
    procs_exit_status status = {.size = sizeof status};
    procs_stream_report report = {.size = sizeof report};
    size_t lines = 0;
    procs_capture *capture;
    procs_output *output;
    int complete = 0;
    puts("a fast one, counted:");
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = (const char *const[]){"seq", "1", "200000", NULL};
    options.stdout_sink.kind = PROCS_SINK_CALLBACK; /* nothing is kept in memory */
    options.stdout_sink.callback = count;
    options.stdout_sink.user_data = &lines;
    need(procs_capture_start(&options, &capture));
    while (!complete) {
        wait_readable(procs_capture_fd(capture));
        need(procs_capture_dispatch(capture, &complete));
    }
    need(procs_capture_finish(capture, &output));
    need(procs_output_status(output, &status));
    need(procs_output_stream_report(output, 1, &report));
    printf("  %zu lines, %" PRIu64 " bytes, ended: exit code %d\n", lines, report.total_bytes, status.code);
    procs_output_free(output);
    procs_capture_free(capture);
}

/* Without an event loop: a timeout of -1 waits for the next line. Stopping is SIGTERM, then SIGKILL after 5 s. */
static void endless_one(void) {
    procs_stop_report report = {.size = sizeof report};
    procs_lines *lines;
    procs_child *child = start("while :; do echo tick; done", &lines);
    const char *line;
    size_t length;
    puts("an endless one, left after 3 lines:");
    for (int number = 1; number <= 3; number++) {
        need(procs_lines_next(lines, -1, &line, &length));
        if (line != NULL) printf("  %d: %.*s\n", number, (int)length, line); /* NULL would be the end */
    }
    need(procs_child_stop(child, NULL, &report));
    printf("  stopped: signal %d (%s)\n", report.exit_signal, procs_signal_name(report.exit_signal));
    procs_lines_free(lines); /* after the stop: closing the pipe first would end the child by SIGPIPE */
    procs_child_free(child);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines appear as they come, also through a pipe */
    slow_one();
    fast_one();
    endless_one();
    return 0;
}
