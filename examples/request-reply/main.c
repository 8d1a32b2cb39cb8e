/* Questions to another process: an answer, a failure, a deadline. */

#define _POSIX_C_SOURCE 200809L

#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What cannot be helped ends the program, with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

/* Asks for a sum of numbers, as text; its status, and the answer. */
static procs_status ask(const procs_channel *channel, const char *numbers, int64_t timeout_ms, char answer[32]) {
    procs_message *message, *reply;
    size_t len;
    need(procs_message_new(PROCS_CODEC_RAW, numbers, strlen(numbers), &message));
    procs_status status = procs_channel_call(channel, message, timeout_ms, &reply);
    need(procs_message_free(message));
    if (status != PROCS_OK) return status;
    const char *body = procs_message_body(reply, &len);
    snprintf(answer, 32, "%.*s", (int)len, body);
    need(procs_message_free(reply));
    return PROCS_OK;
}

static int parent(void) {
    const char *argv[] = {"/proc/self/exe", "serve", NULL};
    char sum[32];
    procs_channel_options channel_options;
    procs_spawn_options options;
    procs_channel *channel;
    procs_child *child;
    procs_exit_status end = {.size = sizeof end};
    need(procs_channel_options_init(&channel_options, sizeof channel_options));
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    options.stdin_from.kind = PROCS_STDIO_PIPE;
    options.channel = &channel_options;
    need(procs_spawn(&options, &child));
    need(procs_child_channel(child, &channel));

    need(ask(channel, "2 3", 20000, sum));
    printf("2 + 3 = %s\n", sum);
    if (ask(channel, "", 20000, sum) == PROCS_E_TASK_FAILED) printf("a failure comes back: %s\n", procs_last_error_remote_name());
    printf("no answer in 0.1 s: %s\n", procs_err_name(ask(channel, "slowly", 100, sum)));
    /* The end of the input makes the child answer what it was slow with. */
    need(procs_child_close_stdin(child));
    need(ask(channel, "40 2", 20000, sum));
    printf("and it goes on: 40 + 2 = %s\n", sum);

    need(procs_channel_close(channel));
    need(procs_channel_free(channel));
    need(procs_child_wait(child, -1, &end));
    printf("the child ended with exit code %d\n", end.code);
    need(procs_child_free(child));
    return 0;
}

static void answer(procs_request *request) {
    procs_message *message;
    char text[64], byte;
    size_t len;
    need(procs_request_take_message(request, &message));
    const char *body = procs_message_body(message, &len);
    snprintf(text, sizeof text, "%.*s", (int)len, len > 0 ? body : "");
    need(procs_message_free(message));
    if (len == 0) {
        need(procs_request_fail(request, "ValueError", "no sum of nothing", NULL));
        return;
    }
    if (strcmp(text, "slowly") == 0)
        while (read(0, &byte, 1) > 0) continue;
    char *second;
    long first = strtol(text, &second, 10);
    snprintf(text, sizeof text, "%ld", first + strtol(second, NULL, 10));
    need(procs_message_new(PROCS_CODEC_RAW, text, strlen(text), &message));
    /* Who asked may have given up. */
    (void)procs_request_reply(request, message);
    need(procs_message_free(message));
}

static int serve(void) {
    procs_channel *channel;
    procs_request *request;
    need(procs_channel_from_env(NULL, &channel));
    while (procs_channel_next_request(channel, -1, &request) == PROCS_OK) {
        answer(request);
        need(procs_request_free(request));
    }
    need(procs_channel_free(channel));
    return 0;
}

int main(int argc, char **argv) {
    (void)argv;
    return argc > 1 ? serve() : parent();
}
