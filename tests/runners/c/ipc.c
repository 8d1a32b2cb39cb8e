/* Scenarios of shared memory and channels, with a child that is this program again. */
#define _GNU_SOURCE
#include "facts.h"
#include "scenarios.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a child finds the descriptor of the memory; and how long to wait for what must come. */
enum { FD = 3, PATIENCE = 20000 };

#define MUST(call) must(call, #call)

static void say_kind(procs_status status) { printf("error kind=%s\n", procs_err_name(status)); }

/* The runner again, or the one of SCENARIO_PEER, with the memory or with a channel. */
static procs_child *again(const char *part, const procs_shm *memory, procs_channel **channel, int stdin_kind) {
    const char *peer = getenv("SCENARIO_PEER");
    char *words = strdup(peer != NULL ? peer : "/proc/self/exe");
    const char *argv[8];
    size_t count = 0;
    for (char *word = strtok(words, "\n"); word != NULL && count < 5; word = strtok(NULL, "\n")) argv[count++] = word;
    argv[count++] = "--child";
    argv[count++] = part;
    argv[count] = NULL;
    procs_spawn_options o = with(argv);
    procs_channel_options channel_options;
    procs_extra_fd extra = {.child_fd = FD, .stdio = {.kind = PROCS_STDIO_FD, .fd = procs_shm_fd(memory)}};
    procs_child *child;
    o.stdin_from.kind = stdin_kind;
    if (memory != NULL) {
        o.extra_fds = &extra;
        o.extra_fd_count = 1;
    }
    if (channel != NULL) {
        MUST(procs_channel_options_init(&channel_options, sizeof channel_options));
        o.channel = &channel_options;
    }
    MUST(procs_spawn(&o, &child));
    free(words);
    if (channel != NULL) MUST(procs_child_channel(child, channel));
    return child;
}

static void say_end(procs_child *child, int say) {
    procs_exit_status status = {.size = sizeof status};
    MUST(procs_child_wait(child, -1, &status));
    if (say) say_status(&status);
    procs_child_free(child);
}

/* ---- memory ---- */

static void memory_layout(void) {
    procs_shm_field field = {.size = sizeof field};
    char *text = malloc(65536);
    size_t count = 0, len = 0;
    for (; procs_shm_layout(count, &field) == PROCS_OK; count++)
        len += (size_t)snprintf(text + len, 65536 - len, "%s %zu %zu\n", field.name, field.offset, field.len);
    printf("flag fields=%zu\n", count);
    say_long("layout", text, len);
    free(text);
}

static void memory_two_processes(void) {
    procs_shm *memory;
    char text[12];
    uint64_t number;
    MUST(procs_shm_new(4096, 0, &memory));
    printf("flag size=%zu\n", procs_shm_len(memory));
    MUST(procs_shm_write(memory, 0, "to the child", 12));
    say_end(again("memory-reverse", memory, NULL, PROCS_STDIO_NULL), 0);
    MUST(procs_shm_read(memory, 100, text, 12));
    say_text("text", text, 12);
    MUST(procs_shm_add64(memory, 200, 1, NULL));
    MUST(procs_shm_load64(memory, 200, &number));
    printf("flag number=%" PRIu64 "\n", number);
    procs_shm_free(memory);
}

static void memory_owner_killed(void) {
    procs_shm *memory;
    procs_shm_mutex *lock;
    procs_shm_event *event;
    int died;
    MUST(procs_shm_new(4096, 0, &memory));
    MUST(procs_shm_mutex_new(memory, 0, PROCS_SHM_CREATE, &lock));
    MUST(procs_shm_event_new(memory, 256, PROCS_SHM_CREATE, &event));
    procs_child *owner = again("memory-own", memory, NULL, PROCS_STDIO_NULL);
    MUST(procs_shm_event_wait(event, PATIENCE));
    MUST(procs_child_kill(owner));
    say_end(owner, 1);
    MUST(procs_shm_mutex_lock(lock, -1, &died));
    say_flag("owner_died", died);
    MUST(procs_shm_mutex_repair(lock));
    MUST(procs_shm_mutex_unlock(lock));
    MUST(procs_shm_mutex_lock(lock, -1, &died));
    say_flag("owner_died", died);
    MUST(procs_shm_mutex_unlock(lock));
    procs_shm_event_free(event);
    procs_shm_mutex_free(lock);
    procs_shm_free(memory);
}

static void say_available(const procs_shm_semaphore *semaphore) {
    uint64_t permits;
    MUST(procs_shm_semaphore_available(semaphore, &permits));
    printf("flag available=%" PRIu64 "\n", permits);
}

static void memory_semaphore_event(void) {
    procs_shm *memory;
    procs_shm_semaphore *semaphore;
    procs_shm_event *taken, *go;
    MUST(procs_shm_new(8192, 0, &memory));
    MUST(procs_shm_semaphore_new(memory, 4096, PROCS_SHM_CREATE, 3, &semaphore));
    MUST(procs_shm_event_new(memory, 256, PROCS_SHM_CREATE, &taken));
    MUST(procs_shm_event_new(memory, 512, PROCS_SHM_CREATE, &go));
    procs_child *taker = again("memory-take", memory, NULL, PROCS_STDIO_NULL);
    MUST(procs_shm_event_wait(taken, PATIENCE));
    say_available(semaphore);
    MUST(procs_shm_event_set(go));
    say_end(taker, 1);
    say_available(semaphore);
    say_flag("set", procs_shm_event_is_set(taken));
    MUST(procs_shm_event_clear(taken));
    say_flag("set", procs_shm_event_is_set(taken));
    procs_shm_event_free(go);
    procs_shm_event_free(taken);
    procs_shm_semaphore_free(semaphore);
    procs_shm_free(memory);
}

static void memory_refused(void) {
    procs_shm *ours, *theirs, *other = NULL;
    procs_shm_mutex *lock;
    MUST(procs_shm_new(4096, PROCS_SHM_READ_ONLY, &ours));
    MUST(procs_shm_from_fd(procs_shm_fd(ours), &theirs));
    say_flag("read_only", procs_shm_is_read_only(theirs));
    say_kind(procs_shm_write(theirs, 0, "x", 1));
    say_kind(procs_shm_mutex_new(theirs, 0, PROCS_SHM_CREATE, &lock));
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    say_kind(procs_shm_from_fd(null, &other));
    close(null);
    say_kind(procs_shm_new(0, 0, &other));
    MUST(procs_shm_new(4096, 0, &other));
    say_kind(procs_shm_mutex_new(other, 1, PROCS_SHM_CREATE, &lock));
    say_kind(procs_shm_write(other, procs_shm_len(other), "x", 1));
    procs_shm_free(other);
    procs_shm_free(theirs);
    procs_shm_free(ours);
}

/* ---- channels ---- */

static procs_message *make(int codec, const char *text) {
    procs_message *message;
    MUST(procs_message_new(codec, text, strlen(text), &message));
    return message;
}

static procs_message *received(const procs_channel *channel) {
    procs_message *message;
    MUST(procs_channel_recv(channel, PATIENCE, &message));
    return message;
}

static void say_body(const char *name, procs_message *message, int is_long) {
    size_t len;
    const char *body = procs_message_body(message, &len);
    (is_long ? say_long : say_text)(name, body, len);
    procs_message_free(message);
}

static void close_and_say(procs_channel *channel, procs_child *child) {
    MUST(procs_channel_close(channel));
    procs_channel_free(channel);
    say_end(child, 1);
}

static void channel_echo(void) {
    procs_channel *channel;
    procs_child *child = again("channel-echo", NULL, &channel, PROCS_STDIO_NULL);
    procs_message *message = make(PROCS_CODEC_JSON, "{\"l\":[1,null,true],\"n\":1,\"t\":\"ä€\"}");
    MUST(procs_channel_send(channel, message, PATIENCE));
    procs_message_free(message);
    say_body("json", received(channel), 0);
    char *bytes = malloc(200000);
    for (int i = 0; i < 100000; i++) bytes[i] = (char)(i % 251);
    MUST(procs_channel_send_bytes(channel, bytes, 100000, PATIENCE));
    say_body("body", received(channel), 1);
    memset(bytes, 'z', 200000);
    message = make(PROCS_CODEC_RAW, "body");
    MUST(procs_message_add_buffer(message, "one", 3));
    MUST(procs_message_add_buffer(message, bytes, 200000));
    free(bytes);
    MUST(procs_channel_send(channel, message, PATIENCE));
    procs_message_free(message);
    size_t len;
    message = received(channel);
    const char *data = procs_message_body(message, &len);
    say_text("body", data, len);
    data = procs_message_buffer(message, 0, &len);
    say_text("buffer", data, len);
    data = procs_message_buffer(message, 1, &len);
    say_long("buffer", data, len);
    procs_message_free(message);
    close_and_say(channel, child);
}

static void channel_sizes(void) {
    static const size_t sizes[] = {0, 1, 64, 4096, 65537, 1 << 20};
    procs_channel *channel;
    procs_child *child = again("channel-echo", NULL, &channel, PROCS_STDIO_NULL);
    char *bytes = malloc(1 << 20);
    for (size_t i = 0; i < 1 << 20; i++) bytes[i] = (char)(i % 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        procs_message *message;
        size_t len;
        MUST(procs_message_new(PROCS_CODEC_RAW, bytes, sizes[i], &message));
        MUST(procs_message_add_buffer(message, bytes, sizes[i]));
        MUST(procs_channel_send(channel, message, PATIENCE));
        procs_message_free(message);
        message = received(channel);
        const char *data = procs_message_body(message, &len);
        say_long("body", data, len);
        data = procs_message_buffer(message, 0, &len);
        say_long("buffer", data, len);
        procs_message_free(message);
    }
    free(bytes);
    close_and_say(channel, child);
}

static void channel_large(void) {
    const size_t len = 64 << 20;
    procs_channel *channel;
    procs_child *child = again("channel-echo", NULL, &channel, PROCS_STDIO_NULL);
    char *bytes = malloc(len);
    for (size_t i = 0; i < len; i++) bytes[i] = (char)(i % 251);
    MUST(procs_channel_send_bytes(channel, bytes, len, PATIENCE));
    free(bytes);
    say_body("body", received(channel), 1);
    close_and_say(channel, child);
}

static void channel_descriptor(void) {
    procs_channel *channel;
    procs_child *child = again("channel-descriptor", NULL, &channel, PROCS_STDIO_NULL);
    procs_message *message = make(PROCS_CODEC_RAW, "through the pipe");
    int ends[2];
    char text[100];
    size_t len = 0;
    ssize_t n;
    if (pipe2(ends, O_CLOEXEC) != 0) abort();
    MUST(procs_message_add_fd(message, ends[1]));
    close(ends[1]);
    MUST(procs_channel_send(channel, message, PATIENCE));
    procs_message_free(message);
    while ((n = read(ends[0], text + len, sizeof text - len)) > 0) len += (size_t)n;
    close(ends[0]);
    say_text("pipe", text, len);
    say_end(child, 1);
    procs_channel_free(channel);
}

/* Calls with a JSON string; says the value or the kind of the error. */
static void call(const procs_channel *channel, const char *json, int64_t timeout) {
    procs_message *message = make(PROCS_CODEC_JSON, json), *reply;
    procs_status status = procs_channel_call(channel, message, timeout, &reply);
    procs_message_free(message);
    if (status != PROCS_OK) {
        say_kind(status);
        return;
    }
    size_t len;
    const char *body = procs_message_body(reply, &len);
    say_text("value", body + 1, len - 2);
    procs_message_free(reply);
}

static void channel_call(void) {
    procs_channel *channel;
    procs_child *child = again("channel-call", NULL, &channel, PROCS_STDIO_PIPE);
    call(channel, "\"hello\"", PATIENCE);
    call(channel, "\"fail\"", PATIENCE);
    call(channel, "\"sleep\"", 100);
    MUST(procs_child_close_stdin(child));
    call(channel, "\"again\"", PATIENCE);
    close_and_say(channel, child);
}

static void channel_child_killed(void) {
    procs_channel *channel;
    procs_message *message;
    procs_child *child = again("channel-three", NULL, &channel, PROCS_STDIO_NULL);
    for (int i = 0; i < 3; i++) say_body("body", received(channel), 0);
    MUST(procs_child_kill(child));
    say_kind(procs_channel_recv(channel, PATIENCE, &message));
    say_end(child, 1);
    procs_channel_free(channel);
}

static void channel_close_first(void) {
    procs_channel *channel;
    procs_message *message;
    procs_child *child = again("channel-close-first", NULL, &channel, PROCS_STDIO_PIPE);
    say_body("body", received(channel), 0);
    say_kind(procs_channel_recv(channel, PATIENCE, &message));
    MUST(procs_child_close_stdin(child));
    say_end(child, 1);
    MUST(procs_channel_close(channel));
    procs_channel_free(channel);
}

static void channel_close_unread(void) {
    procs_channel *channel;
    procs_child *child = again("channel-three", NULL, &channel, PROCS_STDIO_NULL);
    say_body("body", received(channel), 0);
    close_and_say(channel, child);
}

/* ---- what the children do ---- */

static int memory_part(const char *part) {
    procs_shm *memory;
    MUST(procs_shm_from_fd(FD, &memory));
    if (strcmp(part, "memory-reverse") == 0) {
        char text[12], reverse[12];
        MUST(procs_shm_read(memory, 0, text, 12));
        for (int i = 0; i < 12; i++) reverse[i] = text[11 - i];
        MUST(procs_shm_write(memory, 100, reverse, 12));
        MUST(procs_shm_store64(memory, 200, 7));
        return 0;
    }
    procs_shm_event *event, *go;
    MUST(procs_shm_event_new(memory, 256, PROCS_SHM_OPEN, &event));
    if (strcmp(part, "memory-own") == 0) {
        procs_shm_mutex *lock;
        MUST(procs_shm_mutex_new(memory, 0, PROCS_SHM_OPEN, &lock));
        MUST(procs_shm_mutex_lock(lock, -1, NULL));
        MUST(procs_shm_event_set(event));
        sleep(60);
        return 1;
    }
    procs_shm_semaphore *semaphore;
    MUST(procs_shm_semaphore_new(memory, 4096, PROCS_SHM_OPEN, 0, &semaphore));
    MUST(procs_shm_event_new(memory, 512, PROCS_SHM_OPEN, &go));
    MUST(procs_shm_semaphore_acquire(semaphore, -1));
    MUST(procs_shm_semaphore_acquire(semaphore, -1));
    MUST(procs_shm_event_set(event));
    MUST(procs_shm_event_wait(go, PATIENCE));
    MUST(procs_shm_semaphore_release(semaphore));
    MUST(procs_shm_semaphore_release(semaphore));
    return 0;
}

static void answer(procs_request *request) {
    procs_message *message;
    size_t len;
    char byte;
    MUST(procs_request_take_message(request, &message));
    const char *body = procs_message_body(message, &len);
    if (len == 6 && memcmp(body, "\"fail\"", 6) == 0) {
        MUST(procs_request_fail(request, "KeyError", "no such key", NULL));
    } else {
        if (len == 7 && memcmp(body, "\"sleep\"", 7) == 0)
            while (read(0, &byte, 1) > 0) continue;
        /* Who asked may have given up. */
        (void)procs_request_reply(request, message);
    }
    procs_message_free(message);
    procs_request_free(request);
}

static int channel_part(const char *part) {
    procs_channel *channel;
    procs_message *message;
    procs_request *request;
    MUST(procs_channel_from_env(NULL, &channel));
    if (strcmp(part, "channel-echo") == 0) {
        while (procs_channel_recv(channel, -1, &message) == PROCS_OK) {
            MUST(procs_channel_send(channel, message, PATIENCE));
            procs_message_free(message);
        }
    } else if (strcmp(part, "channel-descriptor") == 0) {
        size_t len;
        int fd;
        MUST(procs_channel_recv(channel, PATIENCE, &message));
        const char *body = procs_message_body(message, &len);
        MUST(procs_message_take_fd(message, &fd));
        if (write(fd, body, len) != (ssize_t)len) return 1;
        close(fd);
    } else if (strcmp(part, "channel-call") == 0) {
        while (procs_channel_next_request(channel, -1, &request) == PROCS_OK) answer(request);
    } else if (strcmp(part, "channel-close-first") == 0) {
        char byte;
        MUST(procs_channel_send_bytes(channel, "last", 4, PATIENCE));
        MUST(procs_channel_close(channel));
        while (read(0, &byte, 1) > 0) continue;
    } else {
        /* The other side may close after the first. */
        for (const char *word = "123"; *word != 0; word++) (void)procs_channel_send_bytes(channel, word, 1, PATIENCE);
        (void)procs_channel_recv(channel, -1, &message);
    }
    procs_channel_free(channel);
    return 0;
}

int ipc_child(const char *part) {
    return strncmp(part, "memory-", 7) == 0 ? memory_part(part) : channel_part(part);
}

const struct scenario ipc_scenarios[] = {
    {"memory-layout", memory_layout},
    {"memory-two-processes", memory_two_processes},
    {"memory-owner-killed", memory_owner_killed},
    {"memory-semaphore-event", memory_semaphore_event},
    {"memory-refused", memory_refused},
    {"channel-echo", channel_echo},
    {"channel-sizes", channel_sizes},
    {"channel-large", channel_large},
    {"channel-descriptor", channel_descriptor},
    {"channel-call", channel_call},
    {"channel-child-killed", channel_child_killed},
    {"channel-close-first", channel_close_first},
    {"channel-close-unread", channel_close_unread},
    {NULL, NULL},
};
