/* Many commands, a few at a time; and whichever of several children ends first. */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
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

static procs_spawn_options command(const char *const *argv) {
    procs_spawn_options options;
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    return options;
}

/* Told about each command as it ends, in the order in which they end, on the thread that called procs_run_many. */
static void count_finished(size_t index, int status, const char *message, void *user_data) {
    int *finished = user_data;
    (void)index, (void)status, (void)message;
    ++*finished;
}

#define JOB(word, code) {"sh", "-c", "echo \"$1\"; exit \"$2\"", "sh", word, code, NULL}

/* A command that fails, or does not even start, does not stop the others: each has a status of its own. */
static void a_few_at_a_time(void) {
    enum { COUNT = 6, AT_ONCE = 2 };
    const char *const argv[COUNT][7] = {
        JOB("one", "0"), JOB("two", "0"), JOB("three", "3"), JOB("four", "0"), {"no-such-program", NULL}, JOB("six", "0"),
    };
    procs_spawn_options options[COUNT];
    const procs_spawn_options *commands[COUNT]; /* pointers, so that several commands can share one set of options */
    procs_output *outputs[COUNT];
    int statuses[COUNT], finished = 0;
    printf("%d commands, %d at a time:\n", COUNT, AT_ONCE);
    for (int i = 0; i < COUNT; i++) {
        options[i] = command(argv[i]);
        commands[i] = &options[i];
    }
    need(procs_run_many(commands, COUNT, AT_ONCE, outputs, statuses, count_finished, &finished));
    for (int i = 0; i < COUNT; i++) {
        procs_exit_status status = {.size = sizeof status};
        size_t length;
        if (outputs[i] == NULL) {
            printf("  job %d: %s\n", i + 1, procs_err_name(statuses[i]));
            continue;
        }
        need(procs_output_status(outputs[i], &status));
        const char *bytes = procs_output_stdout(outputs[i], &length); /* pointer and length, no NUL */
        if (length > 0 && bytes[length - 1] == '\n') length--;
        printf("  job %d: exit code %d, output: %.*s\n", i + 1, status.code, (int)length, bytes);
        procs_output_free(outputs[i]);
    }
    printf("  finished: %d\n", finished);
}

/* In an event loop each child is a descriptor that becomes readable when it has ended: no SIGCHLD, no waitpid, no races.
 * poll skips entries whose descriptor is negative. (Outside of a loop of your own, procs_wait_any does the same in one call.) */
static int next_to_end(struct pollfd *watched, int count) {
    while (poll(watched, (nfds_t)count, -1) < 0) {
        if (errno == EINTR) continue;
        perror("poll");
        exit(1);
    }
    int index = 0;
    while (index < count - 1 && watched[index].revents == 0) index++;
    return index;
}

static void whichever_ends_first(void) {
    enum { COUNT = 3 };
    const int order[COUNT] = {3, 1, 2};
    procs_child *children[COUNT];
    struct pollfd watched[COUNT];
    procs_spawn_options options = command((const char *const[]){"cat", NULL});
    options.stdin_from.kind = PROCS_STDIO_PIPE;
    options.stdout_to.kind = PROCS_STDIO_NULL;
    printf("%d children, in the order in which they end:\n", COUNT);
    for (int i = 0; i < COUNT; i++) {
        need(procs_spawn(&options, &children[i]));
        watched[i] = (struct pollfd){.fd = procs_child_fd(children[i]), .events = POLLIN};
    }
    for (int i = 0; i < COUNT; i++) {
        procs_exit_status status = {.size = sizeof status};
        need(procs_child_close_stdin(children[order[i] - 1])); /* without its input, cat ends */
        int ended = next_to_end(watched, COUNT);
        need(procs_child_try_wait(children[ended], &status)); /* never blocks: its descriptor was readable */
        printf("  child %d: exit code %d\n", ended + 1, status.code);
        watched[ended].fd = -1; /* it stays readable: leave it out from now on, and the handle frees the descriptor */
        procs_child_free(children[ended]);
    }
}

int main(void) {
    a_few_at_a_time();
    whichever_ends_first();
    return 0;
}
