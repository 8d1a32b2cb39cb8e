/* Channels: to a child that is this program again, between threads, with buffers and descriptors; calls; the end. */
#include "check.h"

static const char *program;

static procs_message *message_of(int codec, const char *text) {
    procs_message *message;
    CHECK(procs_message_new(codec, text, strlen(text), &message) == PROCS_OK);
    return message;
}

static int body_is(const procs_message *message, const char *text) {
    size_t len = 0;
    const void *body = procs_message_body(message, &len);
    return len == strlen(text) && memcmp(body, text, len) == 0;
}

static void send_text(const procs_channel *channel, const char *text) {
    CHECK(procs_channel_send_bytes(channel, text, strlen(text), 20000) == PROCS_OK);
}

/* The child: sends back messages as they are, answers calls by their text, until the parent closes. */
static int peer(void) {
    procs_channel *channel;
    CHECK(procs_channel_from_env(NULL, &channel) == PROCS_OK);
    procs_channel *again = NULL;
    CHECK(procs_channel_from_env(NULL, &again) == PROCS_E_INVALID_STATE && again == NULL);
    for (;;) {
        procs_channel_event event = {.size = sizeof event};
        CHECK(procs_channel_next_event(channel, 20000, &event) == PROCS_OK);
        if (event.kind == PROCS_CHANNEL_CLOSED) break;
        if (event.kind == PROCS_CHANNEL_MESSAGE) {
            CHECK(event.request == NULL);
            CHECK(procs_channel_send(channel, event.message, -1) == PROCS_OK && procs_message_free(event.message) == PROCS_OK);
            continue;
        }
        procs_message *message;
        CHECK(event.kind == PROCS_CHANNEL_REQUEST && procs_request_take_message(event.request, &message) == PROCS_OK);
        if (body_is(message, "fail")) {
            CHECK(procs_request_fail(event.request, "KeyError", "no such key", "line 1") == PROCS_OK);
            CHECK(procs_request_finish(event.request) == PROCS_E_INVALID_STATE);
        } else if (body_is(message, "parts")) {
            CHECK(procs_request_takes_parts(event.request) == 1);
            for (int i = 0; i < 100; i++) {
                procs_message *part = message_of(PROCS_CODEC_RAW, "part");
                CHECK(procs_request_reply_part(event.request, part, 20000) == PROCS_OK && procs_message_free(part) == PROCS_OK);
            }
            CHECK(procs_request_finish(event.request) == PROCS_OK);
        } else if (!body_is(message, "forget")) {
            CHECK(procs_request_takes_parts(event.request) == 0);
            CHECK(procs_request_reply(event.request, message) == PROCS_OK);
        }
        CHECK(procs_message_free(message) == PROCS_OK && procs_request_free(event.request) == PROCS_OK);
    }
    CHECK(procs_channel_free(channel) == PROCS_OK);
    return 7;
}

static procs_child *start(procs_channel_options *channel_options, procs_channel **channel) {
    const char *argv[] = {program, "peer", NULL};
    procs_spawn_options options = options_for(argv);
    procs_child *child;
    CHECK(procs_channel_options_init(channel_options, sizeof *channel_options) == PROCS_OK);
    options.channel = channel_options;
    CHECK(procs_spawn(&options, &child) == PROCS_OK);
    CHECK(procs_child_channel(child, channel) == PROCS_OK);
    procs_channel *again;
    CHECK(procs_child_channel(child, &again) == PROCS_E_INVALID_STATE);
    return child;
}

static void messages_to_a_child(void) {
    procs_channel_options channel_options;
    procs_channel *channel;
    procs_child *child = start(&channel_options, &channel);
    procs_exit_status status = {.size = sizeof status};
    char *large = malloc(3 << 20);
    memset(large, 'x', 3 << 20);
    procs_message *message = message_of(PROCS_CODEC_JSON, "{\"a\":1}");
    int fds[2];
    CHECK(pipe(fds) == 0);
    CHECK(procs_message_add_buffer(message, large, 3 << 20) == PROCS_OK && procs_message_add_buffer(message, NULL, 0) == PROCS_OK);
    CHECK(procs_message_add_fd(message, fds[1]) == PROCS_OK);
    close(fds[1]);
    CHECK(procs_channel_send(channel, message, 20000) == PROCS_OK);
    CHECK(procs_message_fd_count(message) == 0 && procs_message_buffer_count(message) == 0 && body_is(message, ""));
    /* Received into the handle that was sent. */
    CHECK(procs_channel_recv_into(channel, 20000, message) == PROCS_OK);
    size_t len;
    const char *buffer = procs_message_buffer(message, 0, &len);
    CHECK(procs_message_codec(message) == PROCS_CODEC_JSON && body_is(message, "{\"a\":1}") && procs_message_buffer_count(message) == 2);
    CHECK(len == 3 << 20 && memcmp(buffer, large, len) == 0 && procs_message_fd_count(message) == 1);
    CHECK(procs_message_fd(message, 0) > 2 && procs_message_handle_kind(message) == PROCS_HANDLE_RAW);
    int end;
    CHECK(procs_message_take_fd(message, &end) == PROCS_OK && write(end, "y", 1) == 1 && close(end) == 0);
    CHECK(procs_message_take_fd(message, &end) == PROCS_E_INVALID_STATE);
    char byte;
    CHECK(read(fds[0], &byte, 1) == 1 && byte == 'y');
    close(fds[0]);
    CHECK(procs_message_free(message) == PROCS_OK);
    free(large);

    for (int i = 0; i < 100; i++) send_text(channel, "again");
    for (int i = 0; i < 100; i++) {
        struct pollfd ready = {procs_channel_fd(channel), POLLIN, 0};
        procs_status got;
        while ((got = procs_channel_recv(channel, 0, &message)) == PROCS_E_WOULD_BLOCK) CHECK(poll(&ready, 1, 20000) == 1);
        CHECK(got == PROCS_OK && body_is(message, "again") && procs_message_free(message) == PROCS_OK);
    }
    CHECK(procs_channel_recv(channel, 10, &message) == PROCS_E_TIMEOUT);
    CHECK(procs_channel_flush(channel, 20000) == PROCS_OK && procs_channel_is_closed(channel) == 0);
    CHECK(procs_channel_free(channel) == PROCS_OK);
    CHECK(procs_child_wait(child, 20000, &status) == PROCS_OK && status.kind == PROCS_EXIT_CODE && status.code == 7);
    CHECK(procs_child_free(child) == PROCS_OK);
    ok("messages to a child");
}

/* Into a buffer of the program where that is enough, with a handle where it is not; and a handle is used again and again. */
static void into_memory(void) {
    procs_channel *here, *there;
    procs_message *message = NULL, *kept = message_of(PROCS_CODEC_JSON, "kept");
    char room[8] = "........";
    size_t len = 9;
    CHECK(procs_channel_pair(NULL, &here, &there) == PROCS_OK);
    CHECK(procs_channel_recv_bytes(there, 0, room, sizeof room, &len, &message) == PROCS_E_WOULD_BLOCK && len == 9 && message == NULL);
    CHECK(procs_channel_recv_bytes(there, 5, room, sizeof room, &len, &message) == PROCS_E_TIMEOUT && len == 9 && message == NULL);
    message = kept;
    send_text(here, "four");
    CHECK(procs_channel_recv_bytes(there, 20000, room, sizeof room, &len, &message) == PROCS_OK);
    CHECK(message == NULL && len == 4 && memcmp(room, "four....", 8) == 0);
    send_text(here, "12345678");
    CHECK(procs_channel_recv_bytes(there, 0, room, sizeof room, &len, &message) == PROCS_OK);
    CHECK(message == NULL && len == 8 && memcmp(room, "12345678", 8) == 0);
    send_text(here, "123456789");
    CHECK(procs_channel_recv_bytes(there, 20000, room, sizeof room, &len, &message) == PROCS_OK && len == 9);
    CHECK(body_is(message, "123456789") && memcmp(room, "12345678", 8) == 0 && procs_message_free(message) == PROCS_OK);
    message = message_of(PROCS_CODEC_RAW, "more");
    CHECK(procs_message_add_fd(message, 0) == PROCS_OK && procs_channel_send(here, message, 20000) == PROCS_OK);
    CHECK(procs_message_free(message) == PROCS_OK);
    CHECK(procs_channel_recv_bytes(there, 20000, room, sizeof room, &len, &message) == PROCS_OK && len == 4);
    CHECK(body_is(message, "more") && procs_message_fd_count(message) == 1 && memcmp(room, "12345678", 8) == 0);
    CHECK(procs_message_free(message) == PROCS_OK);
    /* By reference, and still a body alone. */
    char *large = malloc(1 << 20), *into = malloc(1 << 20);
    memset(large, 'x', 1 << 20);
    CHECK(procs_channel_send_bytes(here, large, 1 << 20, 20000) == PROCS_OK);
    CHECK(procs_channel_recv_bytes(there, 20000, into, 1 << 20, &len, &message) == PROCS_OK);
    CHECK(message == NULL && len == 1 << 20 && memcmp(into, large, len) == 0);
    free(into);

    /* What it held stays where nothing came, and goes where something did, whatever it was before. */
    CHECK(procs_channel_recv_into(there, 0, kept) == PROCS_E_WOULD_BLOCK && body_is(kept, "kept") && procs_message_codec(kept) == PROCS_CODEC_JSON);
    send_text(here, "first");
    CHECK(procs_channel_recv_into(there, 20000, kept) == PROCS_OK && body_is(kept, "first") && procs_message_codec(kept) == PROCS_CODEC_RAW);
    CHECK(procs_channel_send_bytes(here, large, 1 << 20, 20000) == PROCS_OK && procs_channel_recv_into(there, 20000, kept) == PROCS_OK);
    procs_message_body(kept, &len);
    CHECK(len == 1 << 20 && procs_channel_recv_into(there, 5, kept) == PROCS_E_TIMEOUT);
    procs_message_body(kept, &len);
    CHECK(len == 1 << 20);
    send_text(here, "last");
    CHECK(procs_channel_recv_into(there, 20000, kept) == PROCS_OK && body_is(kept, "last") && procs_message_free(kept) == PROCS_OK);
    free(large);
    CHECK(procs_channel_free(here) == PROCS_OK);
    CHECK(procs_channel_recv_bytes(there, 20000, room, sizeof room, &len, &message) == PROCS_E_CLOSED && procs_channel_free(there) == PROCS_OK);
    ok("into memory");
}

/* Built in shared memory, read in shared memory: the block's own bytes, not a copy of them. */
static void in_place(void) {
    procs_channel *here, *there;
    procs_message *message, *received;
    procs_shm_block *block, *beside;
    size_t len, size = 1 << 20;
    CHECK(procs_channel_pair(NULL, &here, &there) == PROCS_OK);
    CHECK(procs_channel_alloc(here, size, &block) == PROCS_OK && procs_channel_alloc(here, 5, &beside) == PROCS_OK);
    char *bytes = procs_shm_block_data(block);
    memset(bytes, 'x', size);
    memcpy(procs_shm_block_data(beside), "hello", 5);
    CHECK(procs_message_from_block(PROCS_CODEC_RAW, block, size - 1, &message) == PROCS_OK);
    CHECK(procs_message_add_block(message, beside, 4) == PROCS_OK && procs_message_add_block(message, beside, 6) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_message_from_block(PROCS_CODEC_RAW, block, size + 1, &received) == PROCS_E_INVALID_ARGUMENT);
    CHECK(procs_channel_send(here, message, 20000) == PROCS_OK && procs_message_free(message) == PROCS_OK);
    CHECK(procs_shm_block_free(beside) == PROCS_OK && procs_channel_recv(there, 20000, &received) == PROCS_OK);
    const char *body = procs_message_body(received, &len);
    CHECK(len == size - 1 && body[0] == 'x' && body[len - 1] == 'x');
    /* Only this test may do so: a write on one side is seen on the other. */
    bytes[len - 1] = 'y';
    CHECK(((volatile const char *)body)[len - 1] == 'y');
    const char *buffer = procs_message_buffer(received, 0, &len);
    CHECK(len == 4 && memcmp(buffer, "hell", 4) == 0);
    CHECK(procs_shm_block_free(block) == PROCS_OK && procs_message_free(received) == PROCS_OK);
    /* The same pages serve again. */
    CHECK(procs_channel_alloc(here, size, &block) == PROCS_OK && procs_shm_block_data(block) == bytes);
    CHECK(procs_shm_block_free(block) == PROCS_OK && procs_channel_free(here) == PROCS_OK && procs_channel_free(there) == PROCS_OK);
    ok("in place");
}

static void calls_to_a_child(void) {
    procs_channel_options channel_options;
    procs_channel *channel;
    procs_child *child = start(&channel_options, &channel);
    for (int i = 0; i < count(1000); i++) {
        procs_message *message = message_of(PROCS_CODEC_RAW, "ping"), *reply;
        CHECK(procs_channel_call(channel, message, 20000, &reply) == PROCS_OK && body_is(reply, "ping"));
        CHECK(procs_message_free(message) == PROCS_OK && procs_message_free(reply) == PROCS_OK);
    }
    procs_message *message = message_of(PROCS_CODEC_RAW, "fail"), *reply = NULL;
    CHECK(procs_channel_call(channel, message, 20000, &reply) == PROCS_E_TASK_FAILED && reply == NULL);
    CHECK(strcmp(procs_last_error_remote_name(), "KeyError") == 0 && strcmp(procs_last_error_remote_trace(), "line 1") == 0);
    CHECK(strstr(procs_last_error_message(), "no such key") != NULL);
    CHECK(procs_message_free(message) == PROCS_OK);
    message = message_of(PROCS_CODEC_RAW, "forget");
    CHECK(procs_channel_call(channel, message, 20000, &reply) == PROCS_E_TASK_FAILED && procs_message_free(message) == PROCS_OK);

    procs_call_stream *stream;
    message = message_of(PROCS_CODEC_RAW, "parts");
    CHECK(procs_channel_call_stream(channel, message, &stream) == PROCS_OK && procs_message_free(message) == PROCS_OK);
    for (int i = 0; i < 100; i++) {
        CHECK(procs_call_stream_next(stream, 20000, &message) == PROCS_OK && body_is(message, "part"));
        CHECK(procs_message_free(message) == PROCS_OK);
    }
    CHECK(procs_call_stream_next(stream, 20000, &message) == PROCS_OK && message == NULL);
    CHECK(procs_call_stream_free(stream) == PROCS_OK);

    CHECK(procs_channel_close(channel) == PROCS_OK && procs_channel_is_closed(channel) == 1);
    CHECK(procs_channel_fd(channel) == -1 && procs_channel_recv(channel, 0, &message) == PROCS_E_INVALID_STATE);
    CHECK(procs_channel_free(channel) == PROCS_OK);
    CHECK(procs_child_wait(child, 20000, NULL) == PROCS_OK && procs_child_free(child) == PROCS_OK);
    ok("calls to a child");
}

static void events_of_a_child(void) {
    const char *argv[] = {"true", NULL};
    procs_spawn_options options = options_for(argv);
    procs_channel_options channel_options;
    procs_channel *channel;
    procs_child *child;
    procs_channel_event event = {.size = sizeof event};
    procs_exit_status status = {.size = sizeof status};
    CHECK(procs_channel_options_init(&channel_options, sizeof channel_options) == PROCS_OK);
    options.channel = &channel_options;
    CHECK(procs_spawn(&options, &child) == PROCS_OK && procs_child_channel(child, &channel) == PROCS_OK);
    CHECK(procs_channel_next_event(channel, 20000, &event) == PROCS_OK && event.kind == PROCS_CHANNEL_CLOSED);
    CHECK(procs_channel_next_event(channel, 20000, &event) == PROCS_OK && event.kind == PROCS_CHANNEL_EXITED);
    CHECK(procs_child_try_wait(child, &status) == PROCS_OK && status.kind == PROCS_EXIT_CODE && status.code == 0);
    CHECK(procs_channel_next_event(channel, 20000, &event) == PROCS_E_CLOSED);
    CHECK(procs_channel_send_bytes(channel, "x", 1, 0) == PROCS_E_CLOSED);
    CHECK(procs_channel_free(channel) == PROCS_OK && procs_child_free(child) == PROCS_OK);
    procs_output *output;
    CHECK(procs_run(&options, &output) == PROCS_E_INVALID_ARGUMENT);
    ok("events of a child");
}

static void *echo(void *channel) {
    procs_message *message;
    while (procs_channel_recv(channel, -1, &message) == PROCS_OK) {
        CHECK(procs_channel_send(channel, message, -1) == PROCS_OK && procs_message_free(message) == PROCS_OK);
    }
    CHECK(procs_last_error() == PROCS_E_CLOSED);
    return NULL;
}

static void between_threads(void) {
    procs_channel *here, *there, *other, *quiet;
    pthread_t thread;
    CHECK(procs_channel_pair(NULL, &here, &there) == PROCS_OK && procs_channel_pair(NULL, &other, &quiet) == PROCS_OK);
    CHECK(pthread_create(&thread, NULL, echo, there) == 0);
    const procs_channel *both[] = {other, here};
    for (int i = 0; i < count(10000); i++) {
        procs_message *message;
        size_t index = 9;
        send_text(here, "ping");
        CHECK(procs_channel_wait_any(both, 2, 20000, &index) == PROCS_OK && index == 1);
        CHECK(procs_channel_recv(here, 0, &message) == PROCS_OK && body_is(message, "ping") && procs_message_free(message) == PROCS_OK);
    }
    size_t index;
    CHECK(procs_channel_wait_any(both, 2, 0, &index) == PROCS_E_WOULD_BLOCK && procs_channel_wait_any(both, 2, 5, &index) == PROCS_E_TIMEOUT);
    CHECK(procs_channel_free(here) == PROCS_OK && pthread_join(thread, NULL) == 0 && procs_channel_free(there) == PROCS_OK);

    /* An end by its descriptor. */
    int fd;
    CHECK(procs_channel_take_fd(quiet, &fd) == PROCS_OK && procs_channel_take_fd(quiet, &fd) == PROCS_E_INVALID_STATE);
    CHECK(procs_channel_free(quiet) == PROCS_OK && procs_channel_from_fd(fd, NULL, &quiet) == PROCS_OK && close(fd) == 0);
    procs_message *message;
    send_text(other, "by descriptor");
    CHECK(procs_channel_recv(quiet, 20000, &message) == PROCS_OK && body_is(message, "by descriptor"));
    CHECK(procs_message_free(message) == PROCS_OK && procs_channel_free(quiet) == PROCS_OK && procs_channel_free(other) == PROCS_OK);
    ok("between threads");
}

/* Full, and gone, are told apart; the message is still there after both. */
static void full_and_gone(void) {
    procs_channel_options options;
    procs_channel *here, *there;
    procs_status sent;
    char block[1024] = {0};
    CHECK(procs_channel_options_init(&options, sizeof options) == PROCS_OK);
    options.ring_bytes = 4096;
    options.spin_us = 0;
    CHECK(procs_channel_pair(&options, &here, &there) == PROCS_OK);
    int number = 0;
    while ((sent = procs_channel_send_bytes(here, block, sizeof block, 0)) == PROCS_OK) number++;
    CHECK(sent == PROCS_E_WOULD_BLOCK && number > 0 && procs_channel_send_bytes(here, block, sizeof block, 5) == PROCS_E_TIMEOUT);
    procs_message *message = message_of(PROCS_CODEC_RAW, "kept");
    for (int i = 0; procs_channel_send(here, message, 0) == PROCS_OK; i++) {
        CHECK(i < 100 && procs_message_free(message) == PROCS_OK);
        message = message_of(PROCS_CODEC_RAW, "kept");
    }
    CHECK(procs_last_error() == PROCS_E_WOULD_BLOCK && body_is(message, "kept"));
    CHECK(procs_channel_free(there) == PROCS_OK);
    CHECK(procs_channel_send(here, message, 20000) == PROCS_E_CLOSED && body_is(message, "kept"));
    CHECK(procs_message_free(message) == PROCS_OK && procs_channel_free(here) == PROCS_OK);
    ok("full and gone");
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "peer") == 0) return peer();
    program = argv[0];
    procs_child *warm;
    const char *quick[] = {"true", NULL};
    procs_spawn_options options = options_for(quick);
    CHECK(procs_spawn(&options, &warm) == PROCS_OK && procs_child_wait(warm, -1, NULL) == PROCS_OK && procs_child_free(warm) == PROCS_OK);
    between_threads(); /* starts what the library keeps */
    int before = open_descriptors();
    messages_to_a_child();
    into_memory();
    in_place();
    calls_to_a_child();
    events_of_a_child();
    between_threads();
    full_and_gone();
    /* The thread that waits lets go of a channel a moment after it was freed. */
    for (int round = 0; open_descriptors() > before && round < 2000; round++) poll(NULL, 0, 5);
    if (open_descriptors() > before) {
        list_descriptors();
        CHECK(!"descriptors were left open");
    }
    return 0;
}
