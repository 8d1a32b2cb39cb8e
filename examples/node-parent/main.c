/* A child of a plain Node program: it finds Node's channel, answers a message, and reads from the connection that it is handed. Run it from the root
   of the project. */

#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONG = 20000 };

/* What cannot be helped ends the program, with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

static void send_json(const procs_channel *channel, const char *text) {
    procs_message *message;
    need(procs_message_new(PROCS_CODEC_JSON, text, strlen(text), &message));
    need(procs_channel_send(channel, message, LONG));
    need(procs_message_free(message));
}

/* {"numbers":[1,2]}: the sum of what follows the bracket. */
static long sum_of(const char *body, size_t len) {
    char text[200];
    long sum = 0;
    snprintf(text, sizeof text, "%.*s", (int)len, body);
    for (char *at = strchr(text, '['); at != NULL && *at != ']' && *at != '\0'; sum += strtol(at + 1, &at, 10)) continue;
    return sum;
}

/* Reads to the end; the connection is closed. */
static void read_all(int connection, char *words, size_t size) {
    size_t total = 0;
    ssize_t count;
    /* Node's sockets never block. */
    fcntl(connection, F_SETFL, fcntl(connection, F_GETFL) & ~O_NONBLOCK);
    while ((count = read(connection, words + total, size - 1 - total)) > 0) total += (size_t)count;
    words[total] = '\0';
    close(connection);
}

static int child(void) {
    procs_channel *channel;
    procs_message *message;
    need(procs_channel_from_env(NULL, &channel));
    while (procs_channel_recv(channel, -1, &message) == PROCS_OK) {
        char words[100], answer[200];
        size_t len;
        int connection;
        if (procs_message_fd_count(message) > 0) {
            need(procs_message_take_fd(message, &connection));
            read_all(connection, words, sizeof words);
            snprintf(answer, sizeof answer, "{\"read\":\"%s\"}", words);
        } else {
            const char *body = procs_message_body(message, &len);
            snprintf(answer, sizeof answer, "{\"sum\":%ld}", sum_of(body, len));
        }
        need(procs_message_free(message));
        send_json(channel, answer);
    }
    need(procs_channel_free(channel));
    return 3;
}

/* Node, with this program as its child. */
static int start_node(void) {
    char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    const char *argv[] = {"node", "examples/node-parent/parent.cjs", program, "child", NULL};
    procs_spawn_options options;
    procs_exit_status end = {.size = sizeof end};
    procs_child *node;
    program[len > 0 ? len : 0] = '\0';
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    need(procs_spawn(&options, &node));
    need(procs_child_wait(node, -1, &end));
    need(procs_child_free(node));
    return end.code;
}

int main(int argc, char **argv) {
    (void)argv;
    return argc > 1 ? child() : start_node();
}
