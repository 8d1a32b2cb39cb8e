/* What the files of Node's wire share. */
#ifndef NODE_WIRE_H
#define NODE_WIRE_H

#include "facts.h"
#include <sys/socket.h>

enum { PATIENCE = 20000 };

#define MUST(call) must(call, #call)

void expect(int condition, const char *what);

/* A child with Node's channel: a plain script, or what SCENARIO_PEER says. */
procs_child *talking(const char *part, procs_channel **channel);

/* Sees the end of the channel and of the child, says both, and frees them; the second one closes first. */
void end(procs_channel *channel, procs_child *child);
void close_and_end(procs_channel *channel, procs_child *child);

/* Sends JSON, with a descriptor unless it is -1, which is closed then. */
void send_json(const procs_channel *channel, const char *text, int fd);
procs_message *received(const procs_channel *channel);

/* Says the body and frees the message. */
void say_json(procs_message *message, int is_long);

/* A socket of this kind that is bound: to a free port, or to DIR/listener. Its address. */
int bound(int family, int kind, struct sockaddr_storage *address, socklen_t *len);
int connected(int family, const struct sockaddr_storage *address, socklen_t len);

void write_and_close(int fd, const char *text);
void wait_readable(int fd);

/* Says all that comes until the end, and closes it. */
void say_all(const char *name, int fd);

/* What a child of node_faults.c does: its exit code, -1 for a part of another file. */
int node_faults_child(const char *part);

#endif
