/* A plain Node program as the child: objects both ways, a connection that it is handed, its end. Run it from the root of the project. */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONG = 20000 };

/* What cannot be helped ends the program, with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

/* Sends JSON, with a descriptor unless it is -1. */
static void send_json(const procs_channel *channel, const char *text, int fd) {
    procs_message *message;
    need(procs_message_new(PROCS_CODEC_JSON, text, strlen(text), &message));
    if (fd != -1) need(procs_message_add_fd(message, fd));
    need(procs_channel_send(channel, message, LONG));
    need(procs_message_free(message));
}

/* A connection as a server accepts it; the client's end goes to *client. */
static int connection(int *client) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    *client = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0 || connect(*client, (struct sockaddr *)&address, size) != 0) {
        perror("a connection");
        exit(1);
    }
    int accepted = accept(listener, NULL, NULL);
    close(listener);
    return accepted;
}

int main(void) {
    /* A script: `node` runs it, and its own wire is spoken. */
    const char *argv[] = {"examples/node-child/child.cjs", NULL};
    procs_channel_options channel_options;
    procs_spawn_options options;
    procs_exit_status end = {.size = sizeof end};
    procs_channel *channel;
    procs_child *child;
    procs_message *message;
    size_t len;
    need(procs_channel_options_init(&channel_options, sizeof channel_options));
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    options.channel = &channel_options;
    need(procs_spawn(&options, &child));
    need(procs_child_channel(child, &channel));

    send_json(channel, "{\"number\":12}", -1);
    need(procs_channel_recv(channel, LONG, &message));
    const char *body = procs_message_body(message, &len);
    printf("sent {\"number\":12}, got back %.*s\n", (int)len, body);
    need(procs_message_free(message));

    int client, accepted = connection(&client);
    send_json(channel, "{\"name\":\"client\"}", accepted);
    close(accepted);
    char said[100];
    ssize_t count, total = 0;
    while ((count = read(client, said + total, sizeof said - (size_t)total)) > 0) total += count;
    close(client);
    printf("the child answered on the connection: %.*s\n", (int)total, said);

    need(procs_channel_close(channel));
    need(procs_child_wait(child, -1, &end));
    printf("the child ended with exit code %d\n", end.code);
    need(procs_channel_free(channel));
    need(procs_child_free(child));
    return 0;
}
