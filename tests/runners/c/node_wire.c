/* Node's wire, to a plain Node program or the child of another runner; and from such a parent. */
#define _GNU_SOURCE
#include "node_wire.h"
#include "scenarios.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const texts[] = {
    "{\"n\":1,\"t\":\"ä€😀\",\"l\":[1,null,true,-2.5]}", "{\"a\":{\"b\":{\"c\":[{}]}},\"\":\"\"}", "{\"cmd\":\"NODE_\"}", "[]", "{}", "\"\"",
    "\"line\\nfeed \xe2\x80\xa8\"", "0", "9007199254740991", "1.5e+300", "false", "null", "\"\\ud800\"",
};

void expect(int condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "expected: %s\n", what);
    exit(1);
}

procs_child *talking(const char *part, procs_channel **channel) {
    const char *peer = getenv("SCENARIO_PEER"), *script = getenv("SCENARIO_PLAIN");
    expect(peer != NULL || script != NULL, "SCENARIO_PEER or SCENARIO_PLAIN");
    char *words = strdup(peer != NULL ? peer : script);
    const char *argv[8];
    size_t count = 0;
    for (char *word = strtok(words, "\n"); word != NULL && count < 5; word = strtok(NULL, "\n")) argv[count++] = word;
    argv[count++] = "--child";
    argv[count++] = part;
    argv[count] = NULL;
    procs_spawn_options o = with(argv);
    procs_channel_options channel_options;
    procs_child *child;
    MUST(procs_channel_options_init(&channel_options, sizeof channel_options));
    if (peer != NULL) channel_options.wire = PROCS_WIRE_NODE;
    o.channel = &channel_options;
    MUST(procs_spawn(&o, &child));
    free(words);
    MUST(procs_child_channel(child, channel));
    return child;
}

void end(procs_channel *channel, procs_child *child) {
    procs_channel_event event = {.size = sizeof event};
    procs_exit_status status = {.size = sizeof status};
    MUST(procs_channel_next_event(channel, PATIENCE, &event));
    expect(event.kind == PROCS_CHANNEL_CLOSED, "the end of the channel");
    say_text("event", "closed", 6);
    MUST(procs_channel_next_event(channel, PATIENCE, &event));
    expect(event.kind == PROCS_CHANNEL_EXITED, "the end of the child");
    MUST(procs_child_wait(child, 0, &status));
    say_status(&status);
    procs_channel_free(channel);
    procs_child_free(child);
}

void close_and_end(procs_channel *channel, procs_child *child) {
    MUST(procs_channel_close(channel));
    end(channel, child);
}

void send_json(const procs_channel *channel, const char *text, int fd) {
    procs_message *message;
    MUST(procs_message_new(PROCS_CODEC_JSON, text, strlen(text), &message));
    if (fd >= 0) {
        MUST(procs_message_add_fd(message, fd));
        close(fd);
    }
    MUST(procs_channel_send(channel, message, PATIENCE));
    procs_message_free(message);
}

procs_message *received(const procs_channel *channel) {
    procs_message *message;
    MUST(procs_channel_recv(channel, PATIENCE, &message));
    return message;
}

void say_json(procs_message *message, int is_long) {
    size_t len;
    const char *body = procs_message_body(message, &len);
    (is_long ? say_long : say_text)("json", body, len);
    procs_message_free(message);
}

/* ---- what parents do ---- */

static void objects(void) {
    procs_channel *channel;
    procs_child *child = talking("node-echo", &channel);
    char deep[1001] = "";
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        send_json(channel, texts[i], -1);
        say_json(received(channel), 0);
    }
    memset(deep, '[', 500);
    memset(deep + 500, ']', 500);
    send_json(channel, deep, -1);
    say_json(received(channel), 1);
    close_and_end(channel, child);
}

static void sent_back(const size_t *sizes, size_t count) {
    procs_channel *channel;
    procs_child *child = talking("node-echo", &channel);
    for (size_t i = 0; i < count; i++) {
        char *text = malloc(sizes[i] + 3);
        memset(text + 1, 'y', sizes[i]);
        text[0] = text[sizes[i] + 1] = '"';
        text[sizes[i] + 2] = 0;
        send_json(channel, text, -1);
        free(text);
        say_json(received(channel), 1);
    }
    close_and_end(channel, child);
}

static void large(void) {
    static const size_t sizes[] = {1, 65536, 1 << 20, (16 << 20) + 1};
    sent_back(sizes, sizeof sizes / sizeof *sizes);
}

static void huge(void) {
    static const size_t size = 64 << 20;
    sent_back(&size, 1);
}

int bound(int family, int kind, struct sockaddr_storage *address, socklen_t *len) {
    int fd = socket(family, kind | SOCK_CLOEXEC, 0);
    memset(address, 0, sizeof *address);
    address->ss_family = (sa_family_t)family;
    if (family == AF_UNIX) {
        struct sockaddr_un *path = (struct sockaddr_un *)address;
        snprintf(path->sun_path, sizeof path->sun_path, "%s", in_folder("listener"));
        *len = sizeof *path;
    } else {
        ((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *len = sizeof(struct sockaddr_in);
    }
    expect(bind(fd, (struct sockaddr *)address, *len) == 0, "a bound socket");
    expect(getsockname(fd, (struct sockaddr *)address, len) == 0, "an address");
    return fd;
}

int connected(int family, const struct sockaddr_storage *address, socklen_t len) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(connect(fd, (const struct sockaddr *)address, len) == 0, "a connection");
    return fd;
}

/* Sends a handle; the one that comes back. */
static int there_and_back(const procs_channel *channel, const char *name, int fd, int kind) {
    char text[32];
    size_t len;
    snprintf(text, sizeof text, "\"%s\"", name);
    send_json(channel, text, fd);
    procs_message *message = received(channel);
    const char *body = procs_message_body(message, &len);
    expect(len == strlen(text) && memcmp(body, text, len) == 0, "the message of the handle");
    expect(procs_message_handle_kind(message) == kind && procs_message_fd_count(message) == 1, "a handle of the same kind");
    MUST(procs_message_take_fd(message, &fd));
    procs_message_free(message);
    return fd;
}

void write_and_close(int fd, const char *text) {
    expect(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "a written text");
    close(fd);
}

void say_all(const char *name, int fd) {
    char text[100];
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, sizeof text - len)) > 0) len += (size_t)n;
    close(fd);
    say_text(name, text, len);
}

void wait_readable(int fd) {
    struct timeval patience = {PATIENCE / 1000, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    expect(select(fd + 1, &set, NULL, NULL, &patience) == 1, "something to read");
}

static void accept_through(const procs_channel *channel, const char *name, int family, int kind) {
    struct sockaddr_storage address;
    socklen_t len;
    int listener = bound(family, SOCK_STREAM, &address, &len);
    expect(listen(listener, 8) == 0, "a listener");
    listener = there_and_back(channel, name, listener, kind);
    int client = connected(family, &address, len);
    wait_readable(listener);
    write_and_close(accept(listener, NULL, NULL), "accepted");
    close(listener);
    say_all(name, client);
}

static void handles(void) {
    procs_channel *channel;
    procs_child *child = talking("node-echo", &channel);
    struct sockaddr_storage address;
    socklen_t len;
    int pair[2], client, listener = bound(AF_INET, SOCK_STREAM, &address, &len);
    expect(listen(listener, 8) == 0, "a listener");
    client = connected(AF_INET, &address, len);
    write_and_close(there_and_back(channel, "tcp-socket", accept(listener, NULL, NULL), PROCS_HANDLE_TCP_SOCKET), "through");
    close(listener);
    say_all("tcp-socket", client);

    accept_through(channel, "tcp-listener", AF_INET, PROCS_HANDLE_TCP_LISTENER);

    expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "a pair");
    write_and_close(there_and_back(channel, "unix-socket", pair[1], PROCS_HANDLE_UNIX_SOCKET), "through");
    say_all("unix-socket", pair[0]);

    accept_through(channel, "unix-listener", AF_UNIX, PROCS_HANDLE_UNIX_LISTENER);

    int udp = there_and_back(channel, "udp-socket", bound(AF_INET, SOCK_DGRAM, &address, &len), PROCS_HANDLE_UDP_SOCKET);
    int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    expect(sendto(sender, "datagram", 8, 0, (struct sockaddr *)&address, len) == 8, "a datagram");
    char text[100];
    wait_readable(udp);
    ssize_t n = recv(udp, text, sizeof text, 0);
    say_text("udp-socket", text, n < 0 ? 0 : (size_t)n);
    close(sender);
    close(udp);
    close_and_end(channel, child);
}

static void handles_in_a_row(void) {
    procs_channel *channel;
    procs_child *child = talking("node-echo", &channel);
    struct sockaddr_storage address;
    socklen_t len;
    char text[16];
    int handed = 0, in_order = 1, clients[30], listener = bound(AF_INET, SOCK_STREAM, &address, &len);
    expect(listen(listener, 8) == 0, "a listener");
    for (int i = 0; i < 30; i++) {
        /* Open to the end: Node closes a socket whose other end is closed, and then sends it no more. */
        clients[i] = connected(AF_INET, &address, len);
        snprintf(text, sizeof text, "%d", 2 * i);
        send_json(channel, text, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
        snprintf(text, sizeof text, "%d", 2 * i + 1);
        send_json(channel, text, -1);
    }
    for (int i = 0; i < 60; i++) {
        size_t size;
        procs_message *message = received(channel);
        const char *body = procs_message_body(message, &size);
        snprintf(text, sizeof text, "%d", i);
        in_order &= size == strlen(text) && memcmp(body, text, size) == 0;
        handed += (int)procs_message_fd_count(message);
        procs_message_free(message);
    }
    for (int i = 0; i < 30; i++) close(clients[i]);
    close(listener);
    printf("flag handles=%d\n", handed);
    say_flag("in_order", in_order);
    close_and_end(channel, child);
}

static void say_refusal(const procs_channel *channel, int codec, const char *body, int fds, const int *fd) {
    procs_message *message;
    MUST(procs_message_new(codec, body, strlen(body), &message));
    if (fds < 0) MUST(procs_message_add_buffer(message, "beside", 6));
    for (int i = 0; i < fds; i++) MUST(procs_message_add_fd(message, fd[i]));
    printf("error kind=%s\n", procs_err_name(procs_channel_send(channel, message, PATIENCE)));
    procs_message_free(message);
}

static void refused(void) {
    procs_channel *channel;
    procs_child *child = talking("node-echo", &channel);
    int pair[2], ends[2];
    expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 && pipe2(ends, 0) == 0, "descriptors");
    say_refusal(channel, PROCS_CODEC_JSON, "{\"cmd\":\"NODE_HANDLE_ACK\"}", 0, NULL);
    say_refusal(channel, PROCS_CODEC_RAW, "raw", 0, NULL);
    say_refusal(channel, PROCS_CODEC_JSON, "1", -1, NULL);
    say_refusal(channel, PROCS_CODEC_JSON, "1", 2, pair);
    say_refusal(channel, PROCS_CODEC_JSON, "1", 1, ends + 1);
    for (int i = 0; i < 2; i++) {
        close(pair[i]);
        close(ends[i]);
    }
    send_json(channel, "\"on\"", -1);
    say_json(received(channel), 0);
    close_and_end(channel, child);
}

static void counted(const char *part) {
    procs_channel *channel;
    procs_child *child = talking(part, &channel);
    procs_message *message;
    int count = 0, in_order = 1;
    char start[32];
    while (procs_channel_recv(channel, PATIENCE, &message) == PROCS_OK) {
        size_t len;
        const char *body = procs_message_body(message, &len);
        snprintf(start, sizeof start, "{\"index\":%d,", count++);
        in_order &= len > strlen(start) && memcmp(body, start, strlen(start)) == 0;
        procs_message_free(message);
    }
    printf("flag messages=%d\n", count);
    say_flag("in_order", in_order);
    end(channel, child);
}

static void child_disconnects(void) { counted("node-burst"); }

static void last_words(void) { counted("node-last-words"); }

static void send_index(const procs_channel *channel, int index, size_t characters) {
    char *text = malloc(characters + 64), *at = text;
    at += sprintf(at, "{\"index\":%d", index);
    if (characters > 0) {
        at += sprintf(at, ",\"text\":\"");
        memset(at, 'x', characters);
        at += characters;
        *at++ = '"';
    }
    strcpy(at, "}");
    send_json(channel, text, -1);
    free(text);
}

static void parent_disconnects(void) {
    procs_channel *channel;
    procs_child *child = talking("node-count", &channel);
    procs_message_free(received(channel));
    for (int i = 0; i < 100; i++) send_index(channel, i, 0);
    close_and_end(channel, child);
}

static void child_killed(void) {
    procs_channel *channel;
    procs_child *child = talking("node-echo", &channel);
    send_json(channel, "\"up\"", -1);
    say_json(received(channel), 0);
    MUST(procs_child_kill(child));
    end(channel, child);
}

static void parent_killed(void) {
    const char *argv[] = {"/proc/self/exe", "--child", "node-middle", NULL};
    procs_spawn_options o = with(argv);
    procs_exit_status status = {.size = sizeof status};
    procs_child *middle;
    char said[100];
    size_t len = 0, n = 1;
    o.stdout_to.kind = PROCS_STDIO_PIPE;
    MUST(procs_spawn(&o, &middle));
    while (n > 0) {
        MUST(procs_child_read(middle, 1, PATIENCE, said + len, sizeof said - len, &n));
        len += n;
        if (len == 6) MUST(procs_child_kill(middle));
    }
    say_text("stdout", said, len);
    MUST(procs_child_wait(middle, PATIENCE, &status));
    say_status(&status);
    procs_child_free(middle);
}

/* ---- what the children do ---- */

int node_child(const char *part) {
    procs_channel *channel;
    procs_message *message;
    int code = node_faults_child(part);
    if (code >= 0) return code;
    code = 0;
    if (strcmp(part, "node-middle") == 0) {
        procs_exit_status status = {.size = sizeof status};
        procs_child *child = talking("node-orphan", &channel);
        MUST(procs_child_wait(child, -1, &status));
        return 1;
    }
    MUST(procs_channel_from_env(NULL, &channel));
    if (strcmp(part, "node-echo") == 0) {
        while (procs_channel_recv(channel, -1, &message) == PROCS_OK) {
            MUST(procs_channel_send(channel, message, PATIENCE));
            procs_message_free(message);
        }
        code = 7;
    } else if (strcmp(part, "node-count") == 0) {
        send_json(channel, "\"ready\"", -1);
        for (; procs_channel_recv(channel, -1, &message) == PROCS_OK; code++) procs_message_free(message);
    } else if (strcmp(part, "node-burst") == 0) {
        for (int i = 0; i < 300; i++) send_index(channel, i, 10000);
        code = 5;
    } else if (strcmp(part, "node-last-words") == 0) {
        for (int i = 0; i < 100; i++) send_index(channel, i, 1000);
        code = 6;
    } else {
        printf("ready\n");
        fflush(stdout);
        if (procs_channel_recv(channel, -1, &message) == PROCS_E_CLOSED) printf("gone\n");
    }
    procs_channel_free(channel);
    return code;
}

const struct scenario node_scenarios[] = {
    {"node-objects", objects},
    {"node-large", large},
    {"node-huge", huge},
    {"node-handles", handles},
    {"node-handles-in-a-row", handles_in_a_row},
    {"node-refused", refused},
    {"node-child-disconnects", child_disconnects},
    {"node-last-words", last_words},
    {"node-parent-disconnects", parent_disconnects},
    {"node-child-killed", child_killed},
    {"node-parent-killed", parent_killed},
    {NULL, NULL},
};
