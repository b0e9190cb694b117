/* What the upstream and the load generator share: a clock, fatal errors, bounded arguments, sockets. */
#ifndef BENCHMARKS_COMMON_H
#define BENCHMARKS_COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000LL
#define NS_PER_MS 1000000LL

static inline void die(const char *what)
{
    perror(what);
    exit(2);
}

/* Nanoseconds of CLOCK_MONOTONIC, which all processes of one machine share. */
static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

/* A whole number in [low, high], or the end of the program. */
static inline long number(const char *text, long low, long high)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "not a number between %ld and %ld: %s\n", low, high, text);
        exit(2);
    }
    return value;
}

static inline void *must(void *memory)
{
    if (memory == NULL)
        die("memory");
    return memory;
}

/* A runner that is killed outright must not leave a process behind. */
static inline void end_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static inline struct sockaddr_in loopback(long port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Small writes go out at once on both sides: waiting for more would be measured as somebody's delay. */
static inline void send_at_once(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* The value of a header (its name with the colon), or NULL; `head` ends with a NUL. */
static inline const char *header(const char *head, const char *name)
{
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, strlen(name)) == 0)
            return line + 2 + strlen(name) + strspn(line + 2 + strlen(name), " ");
    return NULL;
}

/* Milliseconds to give epoll_wait, rounded up so that the moment has come when it returns; at most `most`. */
static inline int wait_ms(int64_t until_ns, int most)
{
    int64_t left = until_ns - now_ns();
    if (left <= 0)
        return 0;
    int64_t ms = (left + NS_PER_MS - 1) / NS_PER_MS;
    return ms < most ? (int)ms : most;
}

#endif
