/* A listening socket is passed to another process, which answers who connects to it. */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <procs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What cannot be helped ends the program, with the library's own words. */
static void need(procs_status status) {
    if (status == PROCS_OK) return;
    fprintf(stderr, "%s\n", procs_last_error_message());
    exit(1);
}

/* The same for the system's calls; gives the result. */
static int must(int result, const char *what) {
    if (result >= 0) return result;
    perror(what);
    exit(1);
}

/* The first line that a connection brings, without its end. */
static void line(int connection, char text[64]) {
    size_t len = 0;
    while (len < 63 && recv(connection, text + len, 1, 0) == 1 && text[len] != '\n') len++;
    text[len] = '\0';
}

static procs_child *start(procs_channel **channel) {
    const char *argv[] = {"/proc/self/exe", "answer", NULL};
    procs_channel_options channel_options;
    procs_spawn_options options;
    procs_child *child;
    need(procs_channel_options_init(&channel_options, sizeof channel_options));
    need(procs_spawn_options_init(&options, sizeof options));
    options.argv = argv;
    options.channel = &channel_options;
    need(procs_spawn(&options, &child));
    need(procs_child_channel(child, channel));
    return child;
}

static int parent(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    procs_exit_status end = {.size = sizeof end};
    procs_channel *channel;
    procs_message *message;
    char answer[64];
    int listener = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    must(bind(listener, (struct sockaddr *)&address, len), "bind");
    must(listen(listener, 16), "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &len), "getsockname");

    procs_child *child = start(&channel);
    need(procs_message_new(PROCS_CODEC_RAW, "listen", 6, &message));
    need(procs_message_add_fd(message, listener));
    need(procs_channel_send(channel, message, -1));
    need(procs_message_free(message));
    printf("a listening socket goes to another process\n");
    close(listener);
    printf("this process has closed its own\n");

    int connection = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    must(connect(connection, (struct sockaddr *)&address, len), "connect");
    must((int)send(connection, "hello\n", 6, 0), "send");
    line(connection, answer);
    printf("asked at the same address, the other process answers: %s\n", answer);
    close(connection);
    need(procs_child_wait(child, -1, &end));
    printf("the child ended with exit code %d\n", end.code);
    need(procs_channel_free(channel));
    need(procs_child_free(child));
    return 0;
}

static int answer(void) {
    procs_channel *channel;
    procs_message *message;
    char text[65];
    int listener;
    need(procs_channel_from_env(NULL, &channel));
    need(procs_channel_recv(channel, 20000, &message));
    need(procs_message_take_fd(message, &listener));
    need(procs_message_free(message));
    int connection = must(accept(listener, NULL, NULL), "accept");
    close(listener);
    line(connection, text);
    for (char *at = text; *at != '\0'; at++) *at = (char)toupper((unsigned char)*at);
    strcat(text, "\n");
    must((int)send(connection, text, strlen(text), 0), "send");
    close(connection);
    need(procs_channel_free(channel));
    return 0;
}

int main(int argc, char **argv) {
    (void)argv;
    return argc > 1 ? answer() : parent();
}
