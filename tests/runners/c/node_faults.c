/* Node's wire where something goes wrong: handles that are held, lost or never acknowledged, ends in the middle of a stream, kills at any moment. */
#define _GNU_SOURCE
#include "node_wire.h"
#include "scenarios.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 1000 };

static long number(const char *variable) {
    const char *text = getenv(variable);
    expect(text != NULL, variable);
    return atol(text);
}

/* Numbers below a limit, the same ones in every language. */
static long below(long most) {
    static long state = -1;
    if (state < 0) state = number("SCENARIO_SEED");
    state = (state * 75 + 74) % 65537;
    return state % most;
}

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int by_size(const void *a, const void *b) {
    long left = *(const long *)a, right = *(const long *)b;
    return (left > right) - (left < right);
}

static void say_noticed(long *late, size_t count) {
    qsort(late, count, sizeof *late, by_size);
    say_flag("noticed", late[count / 2] < number("SCENARIO_NOTICE_MS"));
}

/* A listening TCP socket and its port. */
static int listener_on(int *port) {
    struct sockaddr_storage address;
    socklen_t len;
    int listener = bound(AF_INET, SOCK_STREAM, &address, &len);
    expect(listen(listener, 8) == 0, "a listener");
    *port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    return listener;
}

static int connected_to(int port) {
    struct sockaddr_storage address;
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    memset(&address, 0, sizeof address);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons((unsigned short)port);
    return connected(AF_INET, &address, sizeof *in);
}

/* Both ends of a connection. */
static int connection(int *mine) {
    int port, listener = listener_on(&port), client = connected_to(port);
    *mine = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    expect(*mine >= 0, "a connection");
    close(listener);
    return client;
}

/* The descriptor of the next message and the number in its body, {"port":n}. */
static int received_handle(const procs_channel *channel, int *port) {
    int fd;
    size_t len;
    procs_message *message = received(channel);
    const char *body = procs_message_body(message, &len);
    if (port != NULL) *port = len > 8 ? atoi(body + strlen("{\"port\":")) : 0;
    MUST(procs_message_take_fd(message, &fd));
    procs_message_free(message);
    return fd;
}

static void send_port(const procs_channel *channel, int port, int fd) {
    char text[32];
    snprintf(text, sizeof text, "{\"port\":%d}", port);
    send_json(channel, text, fd);
}

/* ---- what parents do ---- */

static void own_handles(void) {
    procs_channel *channel;
    procs_child *child = talking("node-own-handles", &channel);
    int port, listener = received_handle(channel, &port), client = connected_to(port);
    wait_readable(listener);
    write_and_close(accept(listener, NULL, NULL), "accepted");
    close(listener);
    say_all("tcp-listener", client);

    char text[100];
    int udp = received_handle(channel, &port), sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    expect(sendto(sender, "datagram", 8, 0, (struct sockaddr *)&to, sizeof to) == 8, "a datagram");
    wait_readable(udp);
    ssize_t n = recv(udp, text, sizeof text, 0);
    say_text("udp-socket", text, n < 0 ? 0 : (size_t)n);
    close(sender);
    close(udp);

    listener = listener_on(&port);
    send_port(channel, port, -1);
    int stream = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
    write_and_close(received_handle(channel, NULL), "through");
    say_all("tcp-socket", stream);
    close_and_end(channel, child);
}

static void killed_with_handle(void) {
    procs_channel *channel;
    procs_child *child = talking("node-holds", &channel);
    int mine, client = connection(&mine);
    send_json(channel, "1", mine);
    procs_message_free(received(channel));
    MUST(procs_child_kill(child));
    say_all("client", client);
    end(channel, child);
}

static void kept_open(void) {
    procs_channel *channel;
    procs_child *child = talking("node-writes", &channel);
    int mine, client = connection(&mine);
    send_json(channel, "1", dup(mine));
    procs_message_free(received(channel));
    expect(write(mine, "parent", 6) == 6, "a written text");
    shutdown(mine, SHUT_RDWR);
    close(mine);
    say_all("client", client);
    close_and_end(channel, child);
}

static void not_acknowledged(void) {
    procs_channel *channel;
    procs_child *child = talking("node-stalls", &channel);
    procs_message *message;
    procs_channel_event event = {.size = sizeof event};
    procs_exit_status status = {.size = sizeof status};
    procs_message_free(received(channel));
    int mine, client = connection(&mine);
    send_json(channel, "1", mine);
    MUST(procs_message_new(PROCS_CODEC_JSON, "2", 1, &message));
    say_flag("waits", procs_channel_send(channel, message, 100) == PROCS_E_TIMEOUT);
    procs_message_free(message);
    MUST(procs_child_kill(child));
    /* The end takes the handle with it that was not acknowledged. */
    MUST(procs_channel_next_event(channel, PATIENCE, &event));
    say_all("client", client);
    expect(event.kind == PROCS_CHANNEL_CLOSED, "the end of the channel");
    say_text("event", "closed", 6);
    MUST(procs_child_wait(child, PATIENCE, &status));
    say_status(&status);
    procs_channel_free(channel);
    procs_child_free(child);
}

static void set_limits(const procs_child *child, const char *nofile) {
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)procs_child_pid(child));
    const char *argv[] = {"prlimit", "--pid", pid, nofile, NULL};
    procs_spawn_options o = with(argv);
    procs_output *output;
    MUST(procs_run(&o, &output));
    procs_output_free(output);
}

static void lost(void) {
    procs_channel *channel;
    procs_child *child = talking("node-echo", &channel);
    procs_message *message;
    int mine, client;
    send_json(channel, "\"up\"", -1);
    procs_message_free(received(channel));
    /* It has more open than that already. */
    set_limits(child, "--nofile=5:4096");
    close(connection(&mine));
    send_json(channel, "\"lost\"", mine);
    send_json(channel, "\"on\"", -1);
    say_flag("lost", procs_channel_recv(channel, PATIENCE, &message) == PROCS_E_EXHAUSTED);
    say_json(received(channel), 0);
    set_limits(child, "--nofile=4096:4096");
    client = connection(&mine);
    send_json(channel, "\"there\"", mine);
    message = received(channel);
    printf("flag handles=%d\n", (int)procs_message_fd_count(message));
    procs_message_free(message);
    close(client);
    close_and_end(channel, child);
}

static void child_leaves(void) {
    procs_channel *channel;
    procs_child *child = talking("node-leaves", &channel);
    char text[10100] = "{\"text\":\"";
    procs_status status = PROCS_OK;
    procs_message_free(received(channel));
    memset(text + strlen(text), 'x', 10000);
    strcat(text, "\"}");
    for (int i = 0; i < 100000 && status == PROCS_OK; i++) {
        procs_message *message;
        MUST(procs_message_new(PROCS_CODEC_JSON, text, strlen(text), &message));
        status = procs_channel_send(channel, message, PATIENCE);
        procs_message_free(message);
    }
    say_flag("refused", status == PROCS_E_CLOSED);
    end(channel, child);
}

/* The message of this number in a flood. */
static size_t flooding(char *text, int index) {
    size_t size = (size_t)index * 79193 % 400000, at = (size_t)sprintf(text, "{\"index\":%d,\"text\":\"", index);
    memset(text + at, 'x', size);
    strcpy(text + at + size, "\"}");
    return at + size + 2;
}

static int is_part(const procs_message *message, int index) {
    static char text[400100];
    size_t len, expected = flooding(text, index);
    const char *body = procs_message_body(message, &len);
    return len == expected && memcmp(body, text, len) == 0;
}

/* Until it is refused. */
static void flood(const procs_channel *channel) {
    static char text[400100];
    for (int index = 0;; index++) {
        procs_message *message;
        MUST(procs_message_new(PROCS_CODEC_JSON, text, flooding(text, index), &message));
        procs_status status = procs_channel_send(channel, message, -1);
        procs_message_free(message);
        if (status != PROCS_OK) return;
    }
}

static void killed_at_random(void) {
    long late[ROUNDS], rounds = number("SCENARIO_ROUNDS");
    int whole = 1, killed = 1;
    expect(rounds > 0 && rounds <= ROUNDS, "SCENARIO_ROUNDS");
    for (long round = 0; round < rounds; round++) {
        procs_channel *channel;
        procs_child *child = talking("node-floods", &channel);
        procs_exit_status ended = {.size = sizeof ended};
        long most = below(40), last = 0;
        int count = 0;
        for (;;) {
            procs_message *message;
            procs_status status = procs_channel_recv(channel, PATIENCE, &message);
            if (status == PROCS_E_CLOSED) break;
            /* Cut off inside a message. */
            if (status == PROCS_E_PROTOCOL) continue;
            MUST(status);
            whole &= is_part(message, count);
            procs_message_free(message);
            if (count++ == most) MUST(procs_child_kill(child));
            last = now_ms();
        }
        late[round] = now_ms() - last;
        MUST(procs_child_wait(child, PATIENCE, &ended));
        killed &= ended.kind == PROCS_EXIT_SIGNAL && ended.signal == SIGKILL && count > most;
        procs_channel_free(channel);
        procs_child_free(child);
    }
    say_flag("whole", whole);
    say_flag("killed", killed);
    say_noticed(late, (size_t)rounds);
}

static void parent_killed_at_random(void) {
    static const char expected[] = "ready\nin order\n";
    long late[ROUNDS], rounds = number("SCENARIO_ROUNDS");
    int in_order = 1;
    expect(rounds > 0 && rounds <= ROUNDS, "SCENARIO_ROUNDS");
    for (long round = 0; round < rounds; round++) {
        const char *argv[] = {"/proc/self/exe", "--child", "node-middle-floods", NULL};
        procs_spawn_options o = with(argv);
        procs_child *middle;
        char said[100];
        size_t len = 0, n = 1;
        long at = 0;
        o.stdout_to.kind = PROCS_STDIO_PIPE;
        MUST(procs_spawn(&o, &middle));
        while (n > 0) {
            MUST(procs_child_read(middle, 1, PATIENCE, said + len, sizeof said - len, &n));
            len += n;
            if (len != 6) continue;
            struct timespec pause = {0, below(20) * 1000000};
            nanosleep(&pause, NULL);
            MUST(procs_child_kill(middle));
            at = now_ms();
        }
        late[round] = now_ms() - at;
        in_order &= len == strlen(expected) && memcmp(said, expected, len) == 0;
        MUST(procs_child_wait(middle, PATIENCE, NULL));
        procs_child_free(middle);
    }
    say_flag("in_order", in_order);
    say_noticed(late, (size_t)rounds);
}

static void advanced(void) {
    const char *argv[] = {"/proc/self/exe", "--child", "node-advanced", NULL};
    const char *env[] = {"NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=advanced", NULL};
    procs_spawn_options o = with(argv);
    procs_output *output;
    o.env = env;
    MUST(procs_run(&o, &output));
    say_stdout(output);
    procs_output_free(output);
}

/* ---- what the children do ---- */

static int give(procs_channel *channel) {
    struct sockaddr_storage address;
    socklen_t len;
    procs_message *message;
    int port, listener = listener_on(&port), udp;
    send_port(channel, port, listener);
    udp = bound(AF_INET, SOCK_DGRAM, &address, &len);
    send_port(channel, ntohs(((struct sockaddr_in *)&address)->sin_port), udp);
    message = received(channel);
    const char *body = procs_message_body(message, NULL);
    int there = connected_to(atoi(body + strlen("{\"port\":")));
    procs_message_free(message);
    send_json(channel, "\"connection\"", there);
    return procs_channel_recv(channel, -1, &message) == PROCS_E_CLOSED ? 9 : 1;
}

static int sink(procs_channel *channel) {
    procs_message *message;
    int in_order = 1;
    for (int count = 0; procs_channel_recv(channel, -1, &message) == PROCS_OK; count++) {
        if (count == 0) printf("ready\n");
        fflush(stdout);
        in_order &= is_part(message, count);
        procs_message_free(message);
    }
    printf(in_order ? "in order\n" : "out of order\n");
    return 0;
}

static int hold(procs_channel *channel) {
    procs_message *held = received(channel), *message;
    send_json(channel, "\"held\"", -1);
    procs_channel_recv(channel, -1, &message);
    procs_message_free(held);
    return 1;
}

static int write_child(procs_channel *channel) {
    procs_message *message;
    write_and_close(received_handle(channel, NULL), "child");
    send_json(channel, "\"written\"", -1);
    return procs_channel_recv(channel, -1, &message) == PROCS_E_CLOSED ? 7 : 1;
}

static int stall(procs_channel *channel) {
    send_json(channel, "\"ready\"", -1);
    while (pause() == -1) {
    }
    return 1;
}

static int leave(procs_channel *channel) {
    send_json(channel, "\"ready\"", -1);
    for (int i = 0; i < 10; i++) procs_message_free(received(channel));
    return 8;
}

static int flood_parent(procs_channel *channel) {
    flood(channel);
    return 1;
}

int node_faults_child(const char *part) {
    static const struct {
        const char *name;
        int (*run)(procs_channel *);
    } parts[] = {
        {"node-own-handles", give}, {"node-holds", hold}, {"node-writes", write_child}, {"node-stalls", stall}, {"node-leaves", leave},
        {"node-floods", flood_parent}, {"node-sink", sink},
    };
    procs_channel *channel;
    if (strcmp(part, "node-middle-floods") == 0) {
        talking("node-sink", &channel);
        return flood_parent(channel);
    }
    if (strcmp(part, "node-advanced") == 0) {
        printf("%s\n", procs_err_name(procs_channel_from_env(NULL, &channel)));
        return 0;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(part, parts[i].name) != 0) continue;
        MUST(procs_channel_from_env(NULL, &channel));
        int code = parts[i].run(channel);
        procs_channel_free(channel);
        return code;
    }
    return -1;
}

const struct scenario node_fault_scenarios[] = {
    {"node-handles-of-child", own_handles},
    {"node-handle-killed", killed_with_handle},
    {"node-handle-kept", kept_open},
    {"node-handle-unanswered", not_acknowledged},
    {"node-handle-lost", lost},
    {"node-child-leaves", child_leaves},
    {"node-killed-at-random", killed_at_random},
    {"node-parent-killed-at-random", parent_killed_at_random},
    {"node-advanced", advanced},
    {NULL, NULL},
};
