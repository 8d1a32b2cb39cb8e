/* A listening socket that is opened here and handed to a plain Node program, which serves HTTP on it. Run it from the root of the project. */

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

static int listener(struct sockaddr_in *address) {
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)address, size) != 0 || listen(fd, 16) != 0 || getsockname(fd, (struct sockaddr *)address, &size) != 0) {
        perror("a listening socket");
        exit(1);
    }
    return fd;
}

/* Prints the body of a page. */
static void get(const struct sockaddr_in *address, const char *name) {
    char text[1000];
    size_t total = 0;
    ssize_t count;
    int client = socket(AF_INET, SOCK_STREAM, 0);
    int len = snprintf(text, sizeof text, "GET /%s HTTP/1.0\r\n\r\n", name);
    if (connect(client, (const struct sockaddr *)address, sizeof *address) != 0 || write(client, text, (size_t)len) != len) perror("a page");
    while ((count = read(client, text + total, sizeof text - 1 - total)) > 0) total += (size_t)count;
    close(client);
    text[total] = '\0';
    const char *body = strstr(text, "\r\n\r\n");
    printf("GET /%s: %s\n", name, body != NULL ? body + 4 : text);
}

int main(void) {
    const char *argv[] = {"examples/listener-to-node/server.cjs", NULL};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    procs_channel_options channel_options;
    procs_spawn_options options;
    procs_exit_status end = {.size = sizeof end};
    procs_channel *channel;
    procs_child *child;
    procs_message *message;
    need(procs_channel_options_init(&channel_options, sizeof channel_options));
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    options.channel = &channel_options;
    need(procs_spawn(&options, &child));
    need(procs_child_channel(child, &channel));

    int fd = listener(&address);
    need(procs_message_new(PROCS_CODEC_JSON, "{\"greeting\":\"hello\"}", 20, &message));
    need(procs_message_add_fd(message, fd));
    close(fd);
    need(procs_channel_send(channel, message, LONG));
    need(procs_channel_recv_into(channel, LONG, message));
    need(procs_message_free(message));
    puts("Node serves on the socket that was opened here");
    get(&address, "world");
    get(&address, "again");

    need(procs_channel_close(channel));
    need(procs_child_wait(child, -1, &end));
    printf("the child ended with exit code %d\n", end.code);
    need(procs_channel_free(channel));
    need(procs_child_free(child));
    return 0;
}
