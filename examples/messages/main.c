/* Two processes that exchange messages: objects, and bytes as they are. */

#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONG = 20000, MEBIBYTE = 1 << 20 };

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

static int parent(void) {
    static const char *const words[] = {"apple", "fig"};
    const char *argv[] = {"/proc/self/exe", "child", NULL};
    procs_channel_options channel_options;
    procs_spawn_options options;
    procs_channel *channel;
    procs_child *child;
    procs_message *message;
    procs_exit_status end = {.size = sizeof end};
    size_t len;
    need(procs_channel_options_init(&channel_options, sizeof channel_options));
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    options.channel = &channel_options;
    need(procs_spawn(&options, &child));
    need(procs_child_channel(child, &channel));

    for (int i = 0; i < 2; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"word\":\"%s\"}", words[i]);
        send_json(channel, text);
        need(procs_channel_recv(channel, LONG, &message));
        const char *body = procs_message_body(message, &len);
        printf("sent %s, got back %.*s\n", text, (int)len, body);
        need(procs_message_free(message));
    }
    char *data = calloc(1, MEBIBYTE);
    if (data == NULL) return 1;
    need(procs_channel_send_bytes(channel, data, MEBIBYTE, LONG));
    need(procs_channel_recv(channel, LONG, &message));
    const void *body = procs_message_body(message, &len);
    printf("a mebibyte came back as it was: %s\n", len == MEBIBYTE && memcmp(body, data, len) == 0 ? "true" : "false");
    need(procs_message_free(message));
    free(data);
    send_json(channel, "\"enough\"");
    printf("the other side has ended: %s\n", procs_err_name(procs_channel_recv(channel, LONG, &message)));
    need(procs_child_wait(child, -1, &end));
    printf("the child ended with exit code %d\n", end.code);
    need(procs_channel_free(channel));
    need(procs_child_free(child));
    return 0;
}

static int child(void) {
    procs_channel *channel;
    procs_message *message;
    char word[32] = "", reply[96];
    int enough = 0;
    need(procs_channel_from_env(NULL, &channel));
    while (!enough) {
        size_t len;
        need(procs_channel_recv(channel, LONG, &message));
        const char *body = procs_message_body(message, &len);
        if (procs_message_codec(message) == PROCS_CODEC_RAW) {
            need(procs_channel_send(channel, message, LONG));
        } else {
            char text[64];
            snprintf(text, sizeof text, "%.*s", (int)len, body);
            enough = sscanf(text, "{\"word\":\"%31[a-z]\"}", word) != 1;
            for (char *letter = word; *letter != '\0'; letter++) *letter = (char)toupper((unsigned char)*letter);
            snprintf(reply, sizeof reply, "{\"length\":%zu,\"word\":\"%s\"}", strlen(word), word);
            if (!enough) send_json(channel, reply);
        }
        need(procs_message_free(message));
    }
    need(procs_channel_free(channel));
    return 0;
}

int main(int argc, char **argv) {
    (void)argv;
    return argc > 1 ? child() : parent();
}
